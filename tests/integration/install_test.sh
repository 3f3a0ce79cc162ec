#!/usr/bin/env bash
# An installed program works after its folder was moved, and finds nothing of where it was built:
# it makes a tokenizer and shards, and trains two steps on them.
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
# LibTorch's CUDA half has 1.5 GB; nothing here needs it, and a loader would look for a driver.
if grep -E 'libtorch_cuda|libc10_cuda' "$work/libraries"; then
  echo "the program is linked with LibTorch for CUDA" >&2
  exit 1
fi
if find "$work/moved" -name 'lib*torch_cuda*' | grep .; then
  echo "LibTorch for CUDA is installed" >&2
  exit 1
fi
for config in "$work"/moved/share/cloze/configs/*.yaml; do
  env -u LD_LIBRARY_PATH "$program" config check "$config"
done

# The moved program, in a folder that has no part of a checkout.
mkdir "$work/elsewhere"
cd "$work/elsewhere"
moved() {
  env -u LD_LIBRARY_PATH "$program" "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}
for ((line = 0; line < 60; ++line)); do
  echo "{\"text\": \"Line $line is about the $((line * 37 % 101)) foxes. They sleep; 她们睡了。\"}"
done >text.jsonl
cat >config.yaml <<'YAML'
run: {directory: run, steps: 2}
model: {num_hidden_layers: 2, hidden_size: 32, num_attention_heads: 4, intermediate_size: 48,
  vocab_size: 320, max_position_embeddings: 128}
data: {tokenizer: tokenizer, train: [shards], seq_length: 64}
batch: {global_size: 4}
schedule: {warmup: 1}
YAML
moved tokenizer train --input text.jsonl --vocab-size 300 --output tokenizer
moved prepare --input text.jsonl --tokenizer tokenizer --output shards
moved train config.yaml
[[ "$(grep -c '"loss":[0-9]' run/metrics.jsonl)" == 2 ]] || { cat "$work/log"; exit 1; }
[[ -e run/checkpoints/step-00000002/manifest.binpb ]]

status=0
env -u LD_LIBRARY_PATH "$program" train nothing.yaml 2>"$work/error" || status=$?
[[ $status == 64 ]] || { echo "train without a config ended with $status" >&2; exit 1; }
echo "1 passed, 0 failed"
