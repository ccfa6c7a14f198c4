#!/usr/bin/env bash
# From a fresh clone to a trained, tested and drawn model, on a machine without a GPU or a compiler.
# usage: bash tools/quickstart.sh [SEED]    (SEED: of the training, a whole number, default 0)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install/help.sh"

seed=${1:-0}
if [[ ! $seed =~ ^[0-9]{1,9}$ ]]; then
  echo "quickstart: the seed is '$seed'; it must be a whole number, as in: bash tools/quickstart.sh 1" >&2
  exit 2
fi

source "$(dirname "${BASH_SOURCE[0]}")/install/activate.sh"
bash "$root/tools/install.sh" --no-ops
cd "$root"

config=configs/sera/sera_tiny_refshapes.py
out=work_dirs/quickstart
number=1
while compgen -G "$out/*.pth" > /dev/null; do  # what an earlier run trained stays
  number=$((number + 1))
  out=work_dirs/quickstart_$number
done
durations=()

# step NAME COMMAND...: runs it and notes how long it took.
step() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s ==\n' "$name"
  "$@"
  durations+=("$name=$((SECONDS - start))")
}

step data python tools/dataset_converters/refshapes.py data/refshapes
# The tests that follow take the place of validation.
step training python tools/train.py "$config" --work-dir "$out" --cfg-options randomness.seed="$seed" \
  val_cfg=None val_dataloader=None val_evaluator=None
step testing python tools/test.py "$config" "$(<"$out/last_checkpoint")" --work-dir "$out" \
  --splits val testA testB --shuffled-splits val --out "$out/predictions.json"
step probing python tools/analysis_tools/probe_language.py "$config" "$(<"$out/last_checkpoint")" --work-dir "$out" \
  --split val --changes absent
step drawing python tools/analysis_tools/quickstart_report.py "$out" --durations "${durations[@]}"

cat <<TEXT

Done in ${SECONDS} seconds, set-up included: ${durations[*]}.
Read $out/report.md, and look at $out/curves.png and $out/samples.png.

What next? Activate the environment (source $prefix/bin/activate, unless it is already), then
  ask the model:       python tools/image_demo.py data/refshapes/images/COCO_train2014_000000000001.jpg "the red star" \\
                         --config $config --weights $(<"$out/last_checkpoint") --out $out/answer.png
  train it on 2 cores: tools/dist_train.sh $config 2
  train on RefCOCO:    see docs/train.md
TEXT
