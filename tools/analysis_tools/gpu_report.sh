#!/usr/bin/env bash
# Measures all that a GPU must show, in at most 8 minutes, and writes one Markdown table.
# usage: bash tools/analysis_tools/gpu_report.sh OUT.md [--small]
#   --small: tiny models, few repeats, on whatever there is; to see that it runs, also on a CPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../install/help.sh"

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ $# -lt 1 || $# -gt 2 || $1 == -* || ( $# -eq 2 && $2 != --small ) ]]; then
  sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
exec python "$folder/gpu_report.py" "$@"
