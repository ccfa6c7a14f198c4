#!/usr/bin/env bash
# Sets up mmrefseg and everything that it needs; `--help` prints the text below.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: bash tools/install.sh [--tests] [--no-ops] [--onedl] [--cpu | --cuda]

Sets up mmrefseg and everything that it needs in the active virtual or conda environment or, without one, in .venv in the
repository root. It can be run again at any time: what is there and fits is left as it is.

  1. PyTorch and torchvision, unless a pair is there, which is never replaced.
  2. mmcv with its compiled operators, built from its source release against that PyTorch: 2 to 3 minutes on two cores.
     The wheel is kept in ${XDG_CACHE_HOME:-~/.cache}/mmrefseg/wheels: it is built once for each PyTorch and Python.
  3. The packages that setup.py lists, and mmrefseg as an editable package.
  4. A check that imports everything and prints the versions.

  --tests   also what the test suite and the documentation need
  --no-ops  mmcv without compiled operators, which takes no compiler: all of mmrefseg works, and what other packages
            build on mmcv's operators does not
  --onedl   OneDL's maintained releases of OpenMMLab's packages (kept, where they are there already)
  --cpu     PyTorch's builds for CPUs, which are much smaller; --cuda: those for GPUs. Without either those for CPUs where
            there is no GPU, if PyTorch's index of them can be reached
  --help    this text

Variables:
  PYTHON                the Python that makes .venv
  FORCE_CUDA            1: build mmcv's CUDA operators, 0: build for the CPU alone; without it CUDA operators are built
                        where nvcc and a GPU are there
  CUDA_HOME             the CUDA toolkit, if nvcc is not on PATH
  TORCH_CUDA_ARCH_LIST  the GPU generations to compile for, such as "8.0 9.0"; without it those of the GPUs there
  CXX, MAX_JOBS         the C++ compiler, and how many files to compile at a time
  TMPDIR                where downloads are unpacked and mmcv is compiled (default: in the environment)

Without a network: bring the files that a failed step names, and set PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER.
conda's `base` does not count as an active environment. Logs of the steps are in mmrefseg-logs/ in the environment.
TEXT
}

source "$(dirname "${BASH_SOURCE[0]}")/install/activate.sh"
python=$prefix/bin/python
helpers=$root/tools/install
logs=$prefix/mmrefseg-logs
source "$helpers/run_step.sh"

wheels=${XDG_CACHE_HOME:-~/.cache}/mmrefseg/wheels
scratch=
unfinished=()
words=()  # of the options that later steps ask for: no-ops, tests
stack=
build=auto

clean_up() {
  stop_watching
  if ((${#unfinished[@]})); then rm -rf "${unfinished[@]}"; fi
}

# Two runs in one environment would undo each other's work: the second waits for the first.
take_lock() {
  command -v flock >/dev/null || return 0
  local place=$prefix
  if [[ $prefix == "$root/.venv" ]]; then place=$root; fi
  { exec 9<"$place"; } 2>/dev/null || return 0
  flock -n 9 || { say 'another installation is running here; waiting for it' && flock 9; }
}

asked_for() { [[ " ${words[*]} " == *" $1 "* ]]; }

# Tries every candidate, as the first may be a version manager's placeholder that fails.
find_python() {
  local candidates=(python3.12 python3.11 python3.13 python3.10 python3) needs=(venv) candidate
  if [[ -n ${PYTHON:-} ]]; then candidates=("$PYTHON"); fi
  if ! asked_for no-ops; then needs+=(headers); fi
  while read -r candidate; do
    if "$candidate" "$helpers/versions.py" python "${needs[@]}" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done < <(type -aP "${candidates[@]}")
  fail "no fitting Python found (tried ${candidates[*]})" 'Python 3.10 to 3.13 with venv and, to build mmcv, its headers' \
    'install it (Debian, Ubuntu: apt install python3-venv python3-dev) or name one: export PYTHON=...'
}

prepare_environment() {
  if [[ $prefix == "$root/.venv" && ! -e $prefix ]]; then
    local base problem
    base=$(find_python)
    say "making .venv with $("$base" --version) ($base)"
    unfinished+=("$prefix")
    problem=$("$base" -m venv "$prefix" 2>&1) ||
      fail "$base cannot make .venv: ${problem##*$'\n'}" 'a virtual environment' \
        'mend that, or name another Python in PYTHON'
    unfinished=()
  fi
  "$python" "$helpers/versions.py" python 2>/dev/null ||
    fail "the environment $prefix has no working Python, or one of another version" 'Python 3.10 to 3.13' \
      'leave it (deactivate) or, if it is .venv here, remove it (rm -rf .venv)'
  "$python" -m pip --version >/dev/null 2>&1 ||
    fail "the environment $prefix has no working pip" 'pip' "$python -m ensurepip"
  { mkdir -p "$logs" && scratch=$(mktemp -d "${TMPDIR:-$prefix}/mmrefseg-scratch.XXXXXX"); } 2>/dev/null ||
    fail "$prefix${TMPDIR:+ or $TMPDIR} cannot be written" 'folders of your own' \
      'leave that environment (deactivate), or name another folder in TMPDIR'
  unfinished+=("$scratch")
  export TMPDIR=$scratch
}

# find_compiler STANDARD: the first C++ compiler that knows this standard and has its library.
find_compiler() {
  local candidates=(c++ g++ clang++) candidate
  if [[ -n ${CXX:-} ]]; then candidates=("$CXX"); fi
  for candidate in "${candidates[@]}"; do
    if "$candidate" "-std=c++$1" -fsyntax-only -x c++ - <<<'#include <memory>' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no C++ compiler found (tried ${candidates[*]})" "one that compiles C++$1, to build mmcv" \
    'install it (Debian, Ubuntu: apt install g++; conda: conda install cxx-compiler) or name one: export CXX=...'
}

install_torch() {
  local status=0 lines choice
  "$python" "$helpers/torch_pair.py" check || status=$?
  if ((status == 3)); then
    # Before a long download.
    asked_for no-ops || compgen -G "$wheels/*/*.whl" >/dev/null || find_compiler 17 >/dev/null
    lines=$("$python" "$helpers/torch_pair.py" choose "$build")
    mapfile -t choice < <(grep -v '^install: ' <<<"$lines")
    grep '^install: ' <<<"$lines"
    need_space $((choice[0] + 3)) "$prefix"
    run_step torch "installing PyTorch and torchvision" "$python" -m pip install "${choice[@]:1}"
    "$python" "$helpers/torch_pair.py" check
  elif ((status != 0)); then
    exit "$status"
  fi
}

# What building takes; setuptools lies apart, for mmcv needs an old one, and the environment's is not ours to change.
prepare_build() {
  local standard
  standard=$("$python" "$helpers/build_plan.py" standard)
  CXX=$(find_compiler "$standard")
  export CXX
  "$python" "$helpers/versions.py" python headers ||
    fail "the headers of $("$python" --version) are missing" 'Python.h, to build mmcv' \
      'install them (Debian, Ubuntu: apt install python3-dev), or --no-ops'
  need_space 2 "$scratch"
  run_step build-tools 'fetching the tools that build mmcv' \
    "$python" -m pip install --target "$scratch/tools" 'setuptools>=77,<81' ninja packaging
}

# install_wheel NAME ARGUMENTS...: installs that mmcv in place of any other, which would be overwritten in part.
install_wheel() {
  local name=$1
  shift
  run_step mmcv-removal 'making room for it' "$python" -m pip uninstall -y mmcv mmcv-lite mmcv-full onedl-mmcv
  run_step mmcv-wheel "installing $name" "$python" -m pip install --no-deps --force-reinstall "$@"
}

install_mmcv() {
  local mmcv folder
  mmcv=$("$python" "$helpers/versions.py" mmcv "$stack" "${words[@]}")
  if asked_for no-ops; then
    "$python" "$helpers/versions.py" has "$mmcv" || install_wheel "$mmcv without operators" "$mmcv"
    return
  fi
  if "$python" "$helpers/check_operators.py" "$mmcv" >/dev/null 2>&1; then return; fi
  folder=$wheels/${mmcv/==/-}-$("$python" "$helpers/build_plan.py" name)
  if ! "$python" "$helpers/build_operators.py" look "$folder"; then
    prepare_build
    run_step mmcv "building $mmcv (2 to 3 minutes on two cores; with CUDA operators about 20)" \
      "$python" "$helpers/build_operators.py" "$mmcv" "$folder" "$scratch"
  fi
  install_wheel "$mmcv from $folder" "$folder"/*.whl
}

install_packages() {
  local extras
  "$python" -c 'from importlib.metadata import version
for name in ("torch", "torchvision"): print(f"{name}=={version(name)}")' >"$logs/constraints.txt"
  extras=$stack
  if asked_for tests; then extras+=,tests; fi
  run_step packages 'installing mmrefseg and the packages it needs (0.4 GB)' \
    "$python" -m pip install --constraint "$logs/constraints.txt" --editable "$root[$extras]"
}

check_all() { "$python" "$helpers/check_installation.py" "${stack:-$("$python" "$helpers/versions.py" stack)}" "${words[@]}"; }

read_options() {
  local option
  for option in "$@"; do
    case $option in
      --help | -h) usage && exit ;;
      --tests | --no-ops) words+=("${option#--}") ;;
      --onedl) stack=onedl ;;
      --cpu | --cuda) build=${option#--} ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
}

main() {
  local versions
  read_options "$@"
  take_lock
  if [[ -x $python ]] && versions=$(check_all 2>/dev/null); then
    printf '%s\ninstall: everything is in place\n' "$versions"
    return
  fi
  prepare_environment
  stack=${stack:-$("$python" "$helpers/versions.py" stack)}
  install_torch
  install_mmcv
  install_packages
  check_all 2>"$logs/check.log" ||
    fail "the installed packages do not work together: $(tail -n 1 "$logs/check.log")" 'all of them to import' \
      "read $logs/check.log; if mmcv is to blame, rm -rf $wheels"
  say "done: $prefix"
}

trap clean_up EXIT
trap 'say interrupted >&2; exit 130' INT TERM
main "$@"
