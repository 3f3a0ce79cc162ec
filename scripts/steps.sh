# Read by the other scripts: where the repository is, and how a step is run and shown.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
LOGS="$ROOT/build/logs"
mkdir -p "$LOGS"
# nproc would take the threads of a rank for the cores of the machine.
CORES="$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)"

say() { printf '%s\n' "== $*"; }

fail() {  # fail STEP LOG STATUS: what every failing step prints last.
  printf 'FAILED: step "%s" ended with exit code %s\n  log: %s\n' "$1" "$3" "${2#"$ROOT"/}" >&2
  exit "$3"
}

SHOWN_EVERY=15  # Seconds between two lines of a step's log on the screen.

# step NAME COMMAND...: runs quietly into build/logs/NAME.log. Its last line is shown now and then.
step() {
  local name="$1" log started status=0 shown=0 process
  shift
  log="$LOGS/${name// /-}.log"
  started=$SECONDS
  printf '== %s ...\n' "$name"
  "$@" >"$log" 2>&1 </dev/null &
  process=$!
  trap 'kill "$process" 2>/dev/null || true; exit 130' INT TERM
  while kill -0 "$process" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - started >= shown + SHOWN_EVERY)); then
      shown=$((SECONDS - started))
      printf '   %4d s  %s\n' "$shown" "$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-90)"
    fi
  done
  wait "$process" || status=$?
  trap - INT TERM
  if ((status != 0)); then
    tail -n 25 "$log" >&2
    fail "$name" "$log" "$status"
  fi
  printf '   %s: done in %d s\n' "$name" $((SECONDS - started))
}

# shown_step NAME COMMAND...: the same with the whole output shown as it comes.
shown_step() {
  local name="$1" log status=0
  shift
  log="$LOGS/${name// /-}.log"
  printf '== %s ...\n' "$name"
  "$@" </dev/null 2>&1 | tee "$log" || status=$?
  if ((status != 0)); then fail "$name" "$log" "$status"; fi
}
