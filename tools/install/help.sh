# shellcheck shell=bash
# Sourced by the scripts in tools/ before they do anything: where --help is asked for, prints the comment at the top of
# the script, and ends.
case ${1:-} in
  --help | -h)
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
    exit
    ;;
esac
