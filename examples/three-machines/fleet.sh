#!/bin/sh
# Three "machines" on one computer share a ledger through a bare repository; one of them is killed.
#
#   sh fleet.sh [DIR]      # DIR must not exist; without it, one is made where temporary files go
#
# Needs git and wfledger, nothing else; what it makes is in DIR alone. Each clone has its own state,
# so wfledger takes it for a machine of its own.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ $# -gt 0 ]; then mkdir "$1"; top=$(cd "$1" && pwd); else top=$(mktemp -d); fi
cd "$top"
export XDG_STATE_HOME="$top/state"
export GIT_AUTHOR_NAME=Example GIT_AUTHOR_EMAIL=example@example.org
export GIT_COMMITTER_NAME=Example GIT_COMMITTER_EMAIL=example@example.org

say() { printf '\n== %s\n' "$*"; }
on() { machine=$1; shift; (cd "$top/$machine" && "$@"); }
until_so() { # waits for what a command prints to hold a line like this; a minute at most
    pattern=$1; shift
    for _ in $(seq 90); do
        if "$@" | grep -q -e "$pattern"; then return; fi
        sleep 1
    done
    echo "it did not come to '$pattern': $*" >&2
    exit 1
}
leave() {
    for machine in anna bert carl; do
        if [ -d "$top/$machine" ]; then
            on "$machine" wfledger daemon stop > /dev/null 2>&1 || true
        fi
    done
}
trap leave EXIT

say "a bare repository, which is all that there is between the machines"
git init -q --bare -b main hub.git
git init -q -b main anna
cp "$here/write.sh" anna/
on anna git add .
on anna git commit -q -m "How a page is written"
on anna git remote add origin "$top/hub.git"
on anna git push -q origin main

say "anna makes the ledger and shares it; work of who is silent for 8 s is taken over"
on anna wfledger init > /dev/null
on anna wfledger remote set origin --interval 1 --lease 8
on anna wfledger remote name anna

for machine in bert carl; do
    say "$machine clones and joins"
    git clone -q hub.git "$machine"
    on "$machine" wfledger join --trust
    on "$machine" wfledger remote name "$machine"
done

say "a daemon on each"
for machine in anna bert carl; do
    on "$machine" wfledger daemon --detach --workers 2
done

pid=$(on bert wfledger daemon status | sed -n 's/.*(pid \([0-9]*\)).*/\1/p')

say "anna submits twelve tasks"
on anna wfledger run "$here/plan.yaml" --detach --yes 2> /dev/null

say "bert is at work"
until_so ' bert ' on carl wfledger list --status in-progress
kill -9 "$pid" # at once: on a slow computer bert would have ended its tasks
say "bert dies: kill -9 $pid"
say "the fleet, as carl sees it, who has heard of bert a moment ago"
on carl wfledger status

say "carl waits until bert's work is taken over"
until_so ' finder ' on carl wfledger history --limit 1000
on carl wfledger history --limit 1000 | grep ' finder '
on carl wfledger status

say "... and until all is done"
until_so '^12 done$' on carl wfledger status
on carl wfledger status

say "who did what"
on carl wfledger history --limit 1000 | grep -e '-> done'

say "bert is back, and learns what has happened"
on bert wfledger sync || test $? -eq 4 # 4: something that it had begun came too late, and is named

say "nothing was lost, nothing was done twice"
on carl wfledger doctor --history
git -C hub.git log --oneline "$(git -C hub.git for-each-ref --format='%(refname)' refs/heads/wf)"
printf '\nall of it is in %s\n' "$top"
