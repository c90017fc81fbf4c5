#!/bin/sh
# A worker of wfledger that knows nothing but files: flock, mv, printf, sed, git and a POSIX shell.
#
#   shell-worker.sh [-C DIR] [-n NAME] [-o OFFERS] [-1 | -f]
#
#   -C DIR     the repository; else the one of the current directory
#   -n NAME    who this is, for people
#   -o OFFERS  names that tasks may `need`, separated by commas
#   -1         do one task
#   -f         go on for ever; else until nothing is on offer that it can do
#
# It takes the first offer that it can do, runs the task's command in a git worktree of its own,
# commits what came of it, and hands the commit in. Any wfledger process (run, daemon, tick) then
# checks, verifies and lands that as it does for workers of its own. spec/50-claims.md, section 5,
# says each step in numbers, which are repeated below.
#
# What it reads of a task it reads with sed, line by line: the ledger's documents are stored as
# canonical JSON, one member a line, two spaces for each level. It does commands, as a line for the
# shell or as arguments. It leaves alone: prompts, tasks for people, commands with a control
# character other than tab and line end, needs that it was not told to offer, and isolation = clone.
# It prepares no worktree (fleet.toml: setup, copy, link) and enforces wall_s only of the limits.
#
# Exit status: 0 something was done, 3 nothing to do, 1 the ledger is not as it must be, 2 usage.
set -u
umask 022

ME=${USER:-worker}@$(uname -n) OFFERS= ONCE= FOREVER= DIR=.
while getopts C:n:o:1f option; do
  case $option in
    C) DIR=$OPTARG ;;
    n) ME=$OPTARG ;;
    o) OFFERS=$OPTARG ;;
    1) ONCE=1 ;;
    f) FOREVER=1 ;;
    *) exit 2 ;;
  esac
done

say() { printf '%s\n' "shell-worker: $*" >&2; }
die() { say "$@"; exit 1; }
# What a worker could have planted in the shared repository is not run.
g() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false "$@"; }

COMMON=$(cd "$DIR" && git rev-parse --path-format=absolute --git-common-dir) || exit 2
S=$COMMON/wfledger
pointer() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' "$S/ledger-path.json"; }
[ -f "$S/ledger-path.json" ] || { say "this repository has no ledger"; exit 2; }
L=$(pointer root) MACHINE=$(sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' "$S/machine.json")
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/wfledger/$(pointer ledger)
BOOT=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
LEASE=$(sed -n 's/^    "lease_s": \([0-9]*\).*/\1/p' "$L/ledger.json")
BEAT=$((${LEASE:-600} / 3)); [ "$BEAT" -ge 1 ] || BEAT=1
SOH=$(printf '\001') TAB=$(printf '\t')
case $S$L$STATE in *[\"\\]*|*"
"*) die "a path with a quotation mark, a backslash or a line end is beyond this script" ;; esac

# While this process lives it holds a lock, by which its heartbeat knows when to stop.
ALIVE=$S/tmp/$$-alive.tmp
exec 8>"$ALIVE" && flock -n 8 || die "$ALIVE is locked"
given=$(mktemp -d) || exit 1
trap 'rm -rf "$ALIVE" "$given"' EXIT
BEATING= WORKING= ID= N=

# -- reading canonical JSON -----------------------------------------------------------------------

member() { sed -n 's/^  "'"$2"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "$1"; }
spec() { sed -n '/^  "spec": {$/,/^  }/p' "$1"; }
# The strings of an array of the spec, one a line, as they stand between the quotation marks.
array() {
  spec "$1" | sed -n '/^    "'"$2"'": \[$/,/^    \]/s/^      "\(.*\)"\{1\},\{0,1\}$/\1/p'
}
# JSON escapes to characters; the dot keeps line ends at the end from being dropped by $(...).
decoded() {
  printf '%s' "$1" | sed -e 's/\\\\/'"$SOH"'/g' -e 's/\\"/"/g' -e "s/\\\\t/$TAB/g" -e 's/\\n/\
/g' -e 's/'"$SOH"'/\\/g'
  printf .
}

can_do() {
  case $(spec "$1") in
    *'
    "command": '*) ;;
    *) return 1 ;;
  esac
  spec "$1" | grep -q '^    "\(prompt\|manual\|isolation\)": ' && return 1
  spec "$1" | sed -n '/^    "command": /,/^    []"]/p' | sed 's/\\\\//g' | grep -q '\\[bfru]' &&
    return 1
  array "$1" needs | while IFS= read -r need; do
    case ,$OFFERS, in *",$need,"*) ;; *) exit 1 ;; esac
  done
}

# -- locks ----------------------------------------------------------------------------------------

folders() {
  for folder in pending in-progress merging waiting results; do
    [ -d "$L/$folder" ] || die "the folder $L/$folder is missing: wfledger doctor --fix"
  done
  [ -d "$S/claims" ] || die "the folder $S/claims is missing: wfledger doctor --fix"
}
lock() { exec 9>>"$S/locks/$1.lock" && flock 9; }
unlock() { exec 9>&-; }

# A rename happened only if both ends say so: mv -n onto a taken name does nothing and exits with 0.
moved() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ ! -e "$2" ] && mv -n "$1" "$2" 2>/dev/null &&
    [ ! -e "$1" ] && [ -f "$2" ]
}
# Whether the attempt is still ours: WFL-CLAIM-056.
ours() { [ "$(member "$L/in-progress/$ID.json" attempt 2>/dev/null)" = "$N" ]; }

# -- taking: WFL-CLAIM-002, 004, 005, 050 ---------------------------------------------------------

take() {
  folders
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  hash=$(printf %s "$token" | sha256sum | sed 's/ .*//')
  lock ledger
  for offer in "$L"/pending/*.json; do
    [ -f "$offer" ] && can_do "$offer" || continue
    ID=${offer##*/} ID=${ID%.json}
    moved "$offer" "$L/in-progress/$ID.json" || continue
    N=$(member "$L/in-progress/$ID.json" attempt)
    if (set -C; printf 'worker %s\nmachine %s\npid %s\nboot %s\ntoken-sha256 %s\n' \
      "$ME" "$MACHINE" $$ "$BOOT" "$hash" >"$S/claims/$ID.$N") 2>/dev/null
    then
      (umask 077; printf %s "$token" >"$S/tokens/$ID.$N")
      unlock
      return 0
    fi
  done
  ID= N=
  unlock
  return 1
}

# -- living: WFL-CLAIM-034 ------------------------------------------------------------------------

beat() {
  exec 8>&- 9>&-
  count=0
  : & # from here on $! is no process of anybody else; whoever ends this ends its sleep
  trap 'kill $! 2>/dev/null; exit 0' TERM
  while ! flock -n "$ALIVE" true; do
    count=$((count + 1))
    printf %s "$count" >"$S/tmp/$$-beat.tmp" && mv "$S/tmp/$$-beat.tmp" "$S/beats/$1"
    sleep "$BEAT" &
    wait $!
  done
}

# -- working --------------------------------------------------------------------------------------

# Say which worktree is about to be made, then make it: whoever finds us dead keeps what is in it.
worktree() {
  task=$L/in-progress/$ID.json
  run=$(member "$task" run)
  branch=$(member "$L/runs/$run.json" branch)
  base=$(g --git-dir="$COMMON" rev-parse -q --verify "$branch^{commit}") || return 1
  PLACE=$STATE/$ID.$N
  if [ -n "$(array "$task" write)" ]; then
    try=wf-try/$ID/$N name="\"refs/heads/wf-try/$ID/$N\""
  else
    try= name=null
  fi
  printf '{"name": "%s", "path": "%s", "base": "%s", "branch": %s, "purpose": "attempt"}\n' \
    "$ID.$N" "$PLACE" "$base" "$name" >"$S/tmp/$$-place.tmp" &&
    mv "$S/tmp/$$-place.tmp" "$S/attempts/$ID.$N.json" && mkdir -p "$STATE" || return 1
  lock git
  if [ -n "$try" ]; then set -- -b "$try" "$PLACE" "$base"; else set -- --detach "$PLACE" "$base"; fi
  g --git-dir="$COMMON" worktree add -q "$@" >&2
  made=$?
  unlock
  return $made
}

inputs() {
  rm -rf "$given" && mkdir -p "$1"
  cp "$L/in-progress/$ID.json" "$1/../task.json"
  array "$L/in-progress/$ID.json" write >"$1/../scope"
  array "$L/in-progress/$ID.json" inputs | while IFS= read -r input; do
    n=$(member "$L/done/${input%%.*}/$input.json" attempt 2>/dev/null)
    [ -n "$n" ] && cp "$L/results/$input/$n.json" "$1/$input.json" 2>/dev/null
  done
  array "$L/in-progress/$ID.json" after | while IFS= read -r task; do
    [ -f "$L/done/${task%%.*}/$task.json" ] || printf '"%s"\n' "$task"
  done | sed '$!s/$/,/; 1s/^/[/; $s/$/]/' >"$1/missing.json"
  [ -s "$1/missing.json" ] || echo '[]' >"$1/missing.json"
}

# Run the command in the worktree, in an environment that holds what it is given and no more.
work() {
  task=$L/in-progress/$ID.json
  inputs "$given/inputs"
  line=$(spec "$task" | sed -n 's/^    "command": "\(.*\)",\{0,1\}$/\1/p')
  set --
  if [ -n "$line" ]; then
    line=$(decoded "$line")
    set -- /bin/sh -c "${line%.}"
  else
    while IFS= read -r word; do
      word=$(decoded "$word")
      set -- "$@" "${word%.}"
    done <<END
$(array "$task" command)
END
  fi
  wall=$(spec "$task" | sed -n 's/^      "wall_s": \([0-9.]*\).*/\1/p')
  [ -z "$wall" ] || set -- timeout -k 5 "$wall" "$@"
  set -- "WFLEDGER_DIR=$L" "WFLEDGER_RUN=${ID%%.*}" "WFLEDGER_TASK=$ID" "WFLEDGER_ATTEMPT=$N" \
    "WFLEDGER_TOKEN=$token" "WFLEDGER_TASK_FILE=$given/task.json" "WFLEDGER_SCOPE=$(cat "$given/scope")" \
    "WFLEDGER_INPUTS=$given/inputs" "WFLEDGER_RESULT_FILE=$given/result.json" \
    "WFLEDGER_TAG=$S:$ID.$N" "PWD=$PLACE" "$@"
  for name in PATH HOME USER SHELL LANG LC_ALL TERM TMPDIR $(array "$task" env); do
    eval "[ -z \"\${$name+set}\" ]" || eval "set -- \"$name=\$$name\" \"\$@\""
  done
  (cd "$PLACE" && exec env -i "$@") </dev/null >"$S/logs/$ID.$N.log" 2>&1 8>&- &
  WORKING=$!
  wait "$WORKING"
  status=$?
  WORKING=
  return $status
}

commit() {
  [ -n "$(array "$L/in-progress/$ID.json" write)" ] || return 0
  g -C "$PLACE" add -A && { g -C "$PLACE" diff --cached --quiet ||
    g -C "$PLACE" -c user.name="$ME" -c user.email=worker@localhost commit -q --no-verify -m "$ID"; }
}

# -- handing in: WFL-CLAIM-052, 054, 056 ----------------------------------------------------------

envelope() {
  if [ "$1" -eq 0 ] && [ -s "$given/result.json" ]; then
    cat "$given/result.json"
  elif [ "$1" -eq 0 ]; then
    printf '{"status": "succeeded", "head": "%s"}\n' "$(g -C "$PLACE" rev-parse HEAD)"
  else
    class=task; [ "$1" -ne 75 ] || class=transport
    printf '{"status": "failed", "failure": {"class": "%s", "source": "task", ' "$class"
    printf '"message": "exit status %s"}, "head": "%s"}\n' "$1" "$(g -C "$PLACE" rev-parse HEAD)"
  fi
}

hand_in() {
  envelope "$1" >"$S/tmp/$$-result.tmp" || return 1
  lock ledger
  if ours && mkdir -p "$L/results/$ID" && mv "$S/tmp/$$-result.tmp" "$L/results/$ID/$N.json" &&
    moved "$L/in-progress/$ID.json" "$L/merging/$ID.json"
  then say "$ID attempt $N: handed in, exit status $1"
  else say "$ID attempt $N is not ours any more; what was made stays in $PLACE"
  fi
  unlock
  rm -rf "$S/tmp/$$-result.tmp"
}

# Give the task back: the attempt counts as released.
release() {
  lock ledger
  run=${ID%%.*}
  if ours; then
    mkdir -p "$L/waiting/$run" && moved "$L/in-progress/$ID.json" "$L/waiting/$run/$ID.json" &&
      say "$ID attempt $N: given back: $1"
  fi
  unlock
}

interrupted() {
  trap '' INT TERM HUP
  [ -z "$WORKING" ] || kill "$WORKING" 2>/dev/null
  [ -z "$BEATING" ] || kill "$BEATING" 2>/dev/null
  [ -z "$ID" ] || release "interrupted"
  exit 130
}
trap interrupted INT TERM HUP

DONE=
while :; do
  if ! take; then
    [ -n "$FOREVER" ] || break
    sleep 1
    continue
  fi
  DONE=1
  say "$ID attempt $N: taken"
  beat "$ID.$N" >/dev/null 2>&1 &
  BEATING=$!
  if ! worktree; then
    release "no worktree"
  else
    work; status=$?
    if commit; then hand_in "$status"; else release "what it made cannot be committed"; fi
  fi
  kill "$BEATING" 2>/dev/null
  ID= N= BEATING=
  [ -z "$ONCE" ] || break
done
[ -n "$DONE" ] || exit 3
