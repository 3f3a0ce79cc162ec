#!/usr/bin/env bash
# docs/backends/rocm.diff still fits the code, and what it makes compiles.
#   backend_example_test.sh ROOT COMPILER TORCH_INCLUDE
set -euo pipefail
root="$1" compiler="$2" torch="$3"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp -r "$root/parallel" "$folder/"
cd "$folder"
git apply "$root/docs/backends/rocm.diff"
for source in parallel/device/hip_runtime.cc parallel/gpu/vendor.cc; do
  "$compiler" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I. -isystem "$torch" "$source"
done
grep -q '"rocm"' parallel/gpu/vendor.cc
