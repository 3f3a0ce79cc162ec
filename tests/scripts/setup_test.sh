#!/usr/bin/env bash
# How scripts/setup installs packages: as root, by sudo, or not at all, on a machine whose package
# manager, Python and users are stand-ins.
#   setup_test.sh ROOT
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
tools="$folder/tools"
mkdir -p "$folder/scripts" "$tools"
cp "$1"/scripts/{setup,steps.sh,requirements*.txt,torch_without_cuda.py} "$folder/scripts/"
# No other program is there: a sudo of this machine would be found.
for name in bash cat chmod comm cut dirname env grep kill ldd mkdir nproc sed sha256sum sleep sort \
  tail tr; do
  ln -s "$(command -v "$name")" "$tools/$name"
done

wrong() { printf 'setup_test: %s\n' "$*" >&2; exit 1; }

stand_in() {  # stand_in NAME TEXT
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$tools/$1"
  chmod +x "$tools/$1"
}

# run EXPECTED_CODE: scripts/setup from nothing; what it called is in $calls, its output in $output.
run() {
  local status=0
  rm -rf "$folder/.venv"
  : >"$folder/calls"
  output="$(PATH="$tools" bash "$folder/scripts/setup" 2>&1)" || status=$?
  calls="$(cat "$folder/calls")"
  ((status == $1)) || wrong "setup ended with $status, not $1: $output"
}
called() { [[ "$calls" == *"$1"* ]] || wrong "no '$1' in: $calls"; }

stand_in apt-get "echo \"apt-get \$*\" >>'$folder/calls'"
stand_in python3 "mkdir -p .venv/bin
for name in pip python; do printf '#!/usr/bin/env bash\n' >.venv/bin/\$name; chmod +x .venv/bin/\$name; done"
stand_in id 'echo 0'
stand_in dpkg-query 'printf "ii  git\nrc  cmake\n"'

run 0
called "apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 update"
called " install --no-install-recommends build-essential "
called " cmake "  # It was removed, and its settings stayed.
[[ "$calls" != *" git "* ]] || wrong "git is there, and is installed: $calls"
[[ "$output" == *"setup: everything is installed" ]] || wrong "$output"

stand_in id 'echo 1000'
run 77
[[ -z "$calls" ]] || wrong "called without rights: $calls"
[[ "$output" == *"neither root nor has sudo"*"FAILED: step \"install packages\" ended with exit code 77"* ]] ||
  wrong "$output"

stand_in sudo "echo \"sudo \$*\" >>'$folder/calls'; exec \"\$@\""
run 0
called "sudo apt-get -q -o Acquire::Retries=3"
called "sudo env DEBIAN_FRONTEND=noninteractive apt-get"

# All is there: nothing is called.
packages="$(sed -n '/^PACKAGES=(/,/^)/p' "$folder/scripts/setup" | sed '/^ *#/d; s/PACKAGES=(//; s/)//')"
stand_in dpkg-query "printf 'ii  %s\n' ${packages//$'\n'/ }"
run 0
[[ -z "$calls" ]] || wrong "called with everything there: $calls"

stand_in apt-get 'echo "E: no network"; exit 100'
stand_in dpkg-query 'printf "ii  git\n"'
run 100
[[ "$output" == *"E: no network"*"log: build/logs/install-packages.log"* ]] || wrong "$output"
echo "setup_test: passed"
