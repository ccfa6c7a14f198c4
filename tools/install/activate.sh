# shellcheck shell=bash
# Sourced by the scripts in tools/: finds the Python environment that mmrefseg lives in and puts it first on PATH.
# An active virtual or conda environment is used as it is; without one it is .venv in the repository root. conda's
# `base` does not count: it is active in every shell of many users, who do not mean to install things into it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
prefix=${VIRTUAL_ENV:-}
if [[ -z $prefix && ${CONDA_DEFAULT_ENV:-} != base ]]; then
  prefix=${CONDA_PREFIX:-}
fi
prefix=${prefix:-$root/.venv}
export PATH="$prefix/bin:$PATH"
