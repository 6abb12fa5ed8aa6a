#!/usr/bin/env bash
# Fuzzes every fuzz target of the module, one after the other.
#
#   scripts/fuzz.sh [SECONDS]   for each target, 600 by default
#
# It goes on after a failure and fails if any target did; Go keeps the input under testdata/fuzz of the package.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/fuzz_lib.sh

if [ $# -gt 1 ] || ! [[ ${1:-600} =~ ^[1-9][0-9]*$ ]]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi

failed=0 targets=0
while read -r package target; do
  targets=$((targets + 1))
  printf '%s %s\n' "$package" "$target"
  fuzz "$package" "$target" "${1:-600}" </dev/null || failed=$((failed + 1))
done < <(fuzz_targets)
echo "$targets targets, $failed failed"
[ "$targets" -gt 0 ] && [ "$failed" -eq 0 ]
