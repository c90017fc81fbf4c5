#!/bin/sh
# Writes one page, slowly enough for somebody to watch.
set -eu
sleep 5
mkdir -p pages
echo "This is $1." > "pages/$1.txt"
