#!/usr/bin/env bash
# Trains with several processes, one per GPU; on a machine without GPUs, on the CPU.
# usage: tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT, default 29500) on each.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install/help.sh"
config=${1:?usage: tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]}
processes=${2:?usage: tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]}
# The processes end when this one does, however it dies.
export MMREFSEG_LAUNCHER=$$
exec "${PYTHON:-python}" "$(dirname "$0")/launch.py" \
  --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$processes" \
  --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${MASTER_PORT:-29500}" \
  "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
