#!/usr/bin/env bash
# Tests with several processes, one per GPU; on a machine without GPUs, on the CPU.
# usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT, default 29500) on each.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install/help.sh"
config=${1:?usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]}
checkpoint=${2:?usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]}
processes=${3:?usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]}
# The processes end when this one does, however it dies.
export MMREFSEG_LAUNCHER=$$
exec "${PYTHON:-python}" "$(dirname "$0")/launch.py" \
  --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$processes" \
  --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${MASTER_PORT:-29500}" \
  "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
