#!/usr/bin/env bash
# Sets everything up and runs the test suite.
# usage: bash tools/run_tests.sh [arguments of pytest]    (such as tests/test_models)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install/help.sh"
source "$(dirname "${BASH_SOURCE[0]}")/install/activate.sh"
bash "$root/tools/install.sh" --tests
cd "$root"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}  # tensors in tests are small: more threads only get in each other's way
export HF_HUB_OFFLINE=1                       # no test may fetch weights
python -m pytest "$@"
