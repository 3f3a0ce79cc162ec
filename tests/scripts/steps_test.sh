#!/usr/bin/env bash
# What scripts/steps.sh promises of every script: a step that fails ends the script with its own
# code, and the last lines name the step, show what it said, and where its log is.
#   steps_test.sh ROOT
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/scripts"
cp "$1/scripts/steps.sh" "$folder/scripts/"

wrong() { printf 'steps_test: %s\n' "$*" >&2; exit 1; }

# run EXPECTED_CODE TEXT: a script of that text; its output is in $output.
run() {
  local status=0
  printf 'source "%s/scripts/steps.sh"\n%s\n' "$folder" "$2" >"$folder/scripts/try"
  output="$(bash "$folder/scripts/try" 2>&1)" || status=$?
  ((status == $1)) || wrong "'$2' ended with $status, not $1: $output"
}
has() { [[ "$output" == *"$1"* ]] || wrong "no '$1' in: $output"; }
lacks() { [[ "$output" != *"$1"* ]] || wrong "'$1' in: $output"; }

run 0 'step "good one" echo quiet; echo behind'
has "== good one ..."
# It takes no time, and may see the clock turn.
[[ "$output" =~ "good one: done in "[01]" s" ]] || wrong "no time of 'good one' in: $output"
has behind
lacks quiet
grep -qx quiet "$folder/build/logs/good-one.log" || wrong "the log lacks what the step wrote"

run 0 'SHOWN_EVERY=1; step "long one" bash -c "echo half-way; sleep 1.7"'
has "   1 s  half-way"
has "long one: done in"
run 0 'echo "every $SHOWN_EVERY"'
has "every 15"

for kind in step shown_step; do
  run 7 "$kind 'bad one' bash -c 'echo the reason; exit 7'; echo behind"
  has "the reason"
  has 'FAILED: step "bad one" ended with exit code 7'
  has "log: build/logs/bad-one.log"
  lacks behind
done

# The threads of a rank are not the cores of the machine.
run 0 'echo "cores $CORES"'
all="$output"
OMP_NUM_THREADS=1 run 0 'echo "cores $CORES"'
[[ "$output" == "$all" ]] || wrong "OMP_NUM_THREADS changes the cores: $output, not $all"
echo "steps_test: passed"
