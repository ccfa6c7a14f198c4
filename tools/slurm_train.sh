#!/usr/bin/env bash
# Trains on a Slurm cluster.
# usage: GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# SRUN_ARGS holds further arguments of srun.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install/help.sh"
usage='usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]'
partition=${1:?$usage}
job_name=${2:?$usage}
config=${3:?$usage}
gpus=${GPUS:-4}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -ra srun_args <<< "${SRUN_ARGS:-}"
exec srun --partition "$partition" --job-name "$job_name" --ntasks "$gpus" --ntasks-per-node "$gpus_per_node" \
  --gres "gpu:$gpus_per_node" --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 "${srun_args[@]}" \
  "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "${@:4}"
