#!/usr/bin/env bash
# Sets up mmrefseg and everything that it needs; `--help` prints the text below.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: bash tools/install.sh [--tests]

Sets up mmrefseg in the active virtual or conda environment or, without one, in .venv in the repository root (made with
Python 3.12 or 3.11). It can be run again at any time: what is there and fits is left as it is.

  1. PyTorch 2.11 and torchvision 0.26, unless a fitting pair (PyTorch 2.11 to 2.14) is there, which is never replaced.
  2. mmcv with its compiled operators, built from its source release against that PyTorch: 8 to 13 minutes on two cores.
     The wheel is kept in ${XDG_CACHE_HOME:-~/.cache}/mmrefseg/wheels: it is built once for each PyTorch and Python.
  3. The packages that setup.py lists, and mmrefseg as an editable package.
  4. A check that imports everything and prints the versions.

  --tests   also what the test suite needs
  --help    this text

Variables:
  PYTHON                the Python that makes .venv
  FORCE_CUDA            1: build mmcv's CUDA operators, 0: build for the CPU alone; without it CUDA operators are built
                        where nvcc and a GPU are there
  CUDA_HOME             the CUDA toolkit, if nvcc is not on PATH
  TORCH_CUDA_ARCH_LIST  the GPU generations to compile for, such as "8.0 9.0"; without it those of the GPUs there
  CXX, MAX_JOBS         the C++ compiler, and how many files to compile at a time
  TMPDIR                where downloads are unpacked and mmcv is compiled (default: in the environment)

conda's `base` does not count as an active environment. Logs of the steps are in mmrefseg-logs/ in the environment.
TEXT
}

source "$(dirname "${BASH_SOURCE[0]}")/install/activate.sh"
python=$prefix/bin/python
helpers=$root/tools/install
logs=$prefix/mmrefseg-logs
source "$helpers/shell.sh"

default_pair=(torch==2.11.0 torchvision==0.26.0)
mmcv=$(sed -n "s/.*'\(mmcv==[0-9.]*\)'.*/\1/p" "$root/setup.py")
wheels=${XDG_CACHE_HOME:-~/.cache}/mmrefseg/wheels
scratch=
unfinished=()
extra=

clean_up() {
  stop_watching
  if ((${#unfinished[@]})); then rm -rf "${unfinished[@]}"; fi
}

# Two runs in one folder would undo each other's work: the second waits for the first.
take_lock() {
  command -v flock >/dev/null || return 0
  exec 9<"$root"
  flock -n 9 || { say 'another installation is running here; waiting for it' && flock 9; }
}

# Of a version that works, able to make environments, and with the headers that compiling extensions takes.
python_fits() {
  "$1" - 2>/dev/null <<'PYTHON'
import ensurepip, os, sys, sysconfig, venv
headers = os.path.join(sysconfig.get_path('include'), 'Python.h')
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12) and os.path.exists(headers)))
PYTHON
}

# Tries every candidate, as the first may be a version manager's placeholder that fails.
find_python() {
  local candidates=(python3.12 python3.11 python3) candidate
  if [[ -n ${PYTHON:-} ]]; then candidates=("$PYTHON"); fi
  while read -r candidate; do
    if python_fits "$candidate"; then
      echo "$candidate"
      return
    fi
  done < <(type -aP "${candidates[@]}")
  fail "no fitting Python found (tried ${candidates[*]})" 'Python 3.11 or 3.12 with venv and its headers' \
    'install it (Debian, Ubuntu: apt install python3.11-venv python3.11-dev) or name one: export PYTHON=...'
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
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null ||
    fail "the environment $prefix has no working Python, or one of another version" 'Python 3.11 or 3.12' \
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
  local status=0
  "$python" "$helpers/torch_pair.py" || status=$?
  if ((status == 3)); then
    compgen -G "$wheels/${mmcv/==/-}-*/*.whl" >/dev/null || find_compiler 17 >/dev/null  # before a long download
    need_space 8 "$prefix"
    run_step torch "installing ${default_pair[*]} (a few GB)" "$python" -m pip install "${default_pair[@]}"
    "$python" "$helpers/torch_pair.py"
  elif ((status != 0)); then
    exit "$status"
  fi
}

# as_cxx20 COMPILER: a script that runs it with C++20 where C++17 was asked for. mmcv asks for C++17, last on the line.
as_cxx20() {
  local script=$scratch/${1##*/}-c++20
  printf '#!/usr/bin/env bash\nexec %q "${@//-std=c++17/-std=c++20}"\n' "$1" >"$script"
  chmod +x "$script"
  echo "$script"
}

# One for each core, but no more than the memory holds.
count_jobs() {
  local jobs memory
  jobs=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  if ((memory < jobs)); then jobs=$memory; fi
  echo $((jobs > 0 ? jobs : 1))
}

# build_mmcv FOLDER STANDARD CUDA_HOME CUDA_HEADERS: leaves the wheel in FOLDER, at once and whole.
build_mmcv() {
  local folder=$1 standard=$2 cuda_home=$3 cuda_headers=$4 compiler jobs settings wheel
  compiler=$(find_compiler "$standard")
  "$python" -c 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
    fail "the headers of $("$python" --version) are missing" 'Python.h, to build mmcv' \
      'install them (Debian, Ubuntu: apt install python3-dev)'
  need_space 2 "$scratch"
  mkdir -p "$folder" 2>/dev/null ||
    fail "the wheel cache $wheels cannot be written" 'a folder of your own' 'export XDG_CACHE_HOME=...'
  # The tools lie apart: mmcv needs an old setuptools, but which one the environment has is not ours to change.
  run_step build-tools 'fetching the tools that build mmcv' \
    "$python" -m pip install --target "$scratch/tools" 'setuptools>=70.1,<81' ninja

  jobs=${MAX_JOBS:-$(count_jobs)}
  settings=(MMCV_WITH_OPS=1 MAX_JOBS="$jobs" CXX="$compiler")
  settings+=(PYTHONPATH="$scratch/tools" PATH="$scratch/tools/bin:$PATH")
  if [[ -n $cuda_home ]]; then
    settings+=(FORCE_CUDA=1 CUDA_HOME="$cuda_home" CPATH="$cuda_headers${CPATH:+:$CPATH}")
  else
    settings+=(FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=)  # with a GPU in sight mmcv would try CUDA
  fi
  if ((standard == 20)); then
    settings+=(CXX="$(as_cxx20 "$compiler")" PYTORCH_NVCC="$(as_cxx20 "${cuda_home:-/usr}/bin/nvcc")")
  fi
  say "building takes about $((24 / jobs + 1)) minutes with $jobs files at a time${cuda_home:+; CUDA: three times that}"
  run_step mmcv "building $mmcv" env "${settings[@]}" "$python" -m pip wheel -v --no-deps --no-build-isolation \
    --no-cache-dir --no-binary mmcv --wheel-dir "$scratch/wheel" "$mmcv"
  wheel=$(compgen -G "$scratch/wheel/*.whl")
  cp "$wheel" "$folder/part.$$" && mv "$folder/part.$$" "$folder/${wheel##*/}"
}

install_mmcv() {
  if "$python" "$helpers/operators.py" "$mmcv" >/dev/null 2>&1; then return; fi
  local lines plan folder
  lines=$("$python" "$helpers/build_plan.py")
  mapfile -t plan <<<"$lines"
  folder=$wheels/${mmcv/==/-}-${plan[0]}
  if ! compgen -G "$folder/*.whl" >/dev/null; then
    build_mmcv "$folder" "${plan[1]}" "${plan[2]:-}" "${plan[3]:-}"
  fi
  run_step mmcv-wheel "installing $mmcv from $folder" \
    "$python" -m pip install --no-deps --force-reinstall "$folder"/*.whl
}

install_packages() {
  "$python" -c 'from importlib.metadata import version
for name in ("torch", "torchvision"): print(f"{name}=={version(name)}")' >"$logs/constraints.txt"
  run_step packages 'installing mmrefseg and the packages it needs' \
    "$python" -m pip install --constraint "$logs/constraints.txt" --editable "$root${extra:+[$extra]}"
}

check_all() { "$python" "$helpers/verify.py" $extra; }

main() {
  case ${1:-} in
    --help) usage && return ;;
    --tests) extra=tests ;;
    '') ;;
    *) usage >&2 && exit 2 ;;
  esac
  local versions
  take_lock
  if [[ -x $python ]] && versions=$(check_all 2>/dev/null); then
    printf '%s\ninstall: everything is in place\n' "$versions"
    return
  fi
  prepare_environment
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
