# shellcheck shell=bash
# Sourced by tools/install.sh: messages, and long commands with their progress, logs and failures. Expects `logs`, the
# folder for the logs, and `prefix`, the environment.

log=
watcher=

say() { printf 'install: %s\n' "$*"; }

# fail WHAT EXPECTED MEND: one message, and the end.
fail() {
  printf 'install: %s\n  expected: %s\n  mend:     %s, then run tools/install.sh again\n' "$@" >&2
  exit 1
}

# need_space GIGABYTES FOLDER
need_space() {
  local free
  free=$(df -Pk "$2" | awk 'NR == 2 {print int($4 / 1048576)}')
  ((free >= $1)) || fail "too little disk space for $2: $free GB are free" "$1 GB" \
    'free some, or put the repository (for temporary files: TMPDIR) on a larger disk'
}

# Says every 20 seconds how long a step has taken and, in a build, how many files are compiled.
watch_progress() {
  local label=$1 start=$SECONDS seconds compiled
  while sleep 20 9<&- >/dev/null 2>&1; do
    seconds=$((SECONDS - start))
    compiled=$(grep -oE '\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 || true)
    say "$label: $((seconds / 60))m$((seconds % 60))s${compiled:+, files compiled $compiled}"
  done
}

stop_watching() {
  if [[ -n $watcher ]]; then
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    watcher=
  fi
}

# run_step NAME LABEL COMMAND...: runs a command with its output in the log NAME and its progress on the terminal.
run_step() {
  local label=$2 status=0
  log=$logs/$1.log
  shift 2
  say "$label"
  : >"$log"
  watch_progress "$label" &
  watcher=$!
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  stop_watching
  ((status == 0)) || fail_step "$label"
}

# Whether a failed step's log tells of a package that could not be had. Without an index pip takes a missing file for a
# conflict with whatever is pinned.
lacks_package() {
  grep -qE 'Connection ?Error|ConnectTimeout|ReadTimeout|Name or service not known|No matching distribution' "$log" ||
    { [[ -n ${PIP_NO_INDEX:-} ]] && grep -q ResolutionImpossible "$log"; }
}

# Turns the log of a failed step into one message.
fail_step() {
  local reason=
  if grep -qE 'No space left on device|Errno 28' "$log"; then
    fail "$1: the disk is full" 'room for the packages' "free space where $prefix lies (log: $log)"
  elif lacks_package; then
    reason=$(grep -m 1 -oE '(requirement|Cannot install) [^ ]+[=<>][^ ]+' "$log" | tail -n 1 || true)
    fail "$1: the package index cannot be reached, or lacks a package${reason:+ (${reason##* })}" "a network, pip set up for another index, or \
without a network a folder with the wheels of PyTorch, torchvision, setuptools<81, ninja and what setup.py lists \
('pip download' on a machine like this one), and the source release of mmcv" \
      "check the network and what 'pip config list' says, or export PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER (log: $log)"
  elif grep -qE 'ResolutionImpossible|conflicting dependencies' "$log"; then
    reason=$(sed -n '/The conflict is caused by/,/^$/p' "$log" | sed -n 2,5p | tr -s '\n ' ' ')
    fail "$1: versions that exclude each other are asked for:${reason:- see $log}" 'versions that fit together' \
      "lift the pin that is named (a requirement, a constraint of 'pip config list', PIP_CONSTRAINT), or take a new \
environment (log: $log)"
  elif grep -qE 'Killed|annot allocate memory|out of memory' "$log"; then
    fail "$1: out of memory, with one file at a time too" '2.5 GB' "free memory, or --no-ops (log: $log)"
  fi
  reason=$(grep -m 1 -E '(fatal error|error|ERROR|Error): ' "$log" || tail -n 1 "$log")
  fail "$1 failed: ${reason:0:300}" 'no error' "read $log"
}
