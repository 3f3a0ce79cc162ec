#!/usr/bin/env bash
# An installed program works after its folder was moved, and finds nothing of where it was built.
#   install_test.sh BUILD_FOLDER
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/first" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/moved"
program="$work/moved/bin/cloze"
if readelf -d "$program" | grep -E 'R(UN)?PATH' | grep -v '\$ORIGIN'; then
  echo "the program names a folder of the build" >&2
  exit 1
fi
env -u LD_LIBRARY_PATH ldd "$program" >"$work/libraries"
if grep 'not found' "$work/libraries"; then exit 1; fi
grep -F "$work/moved/" "$work/libraries" | grep -q libtorch_cpu.so
for config in "$work"/moved/share/cloze/configs/*.yaml; do
  env -u LD_LIBRARY_PATH "$program" config check "$config"
done
status=0
(cd "$work" && env -u LD_LIBRARY_PATH "$program" train nothing.yaml 2>"$work/error") || status=$?
[[ $status == 64 ]] || { echo "train without a config ended with $status" >&2; exit 1; }
echo "1 passed, 0 failed"
