#!/usr/bin/env python3
"""Opens reports in a headless Chromium: nothing goes wrong on the console, nothing is loaded, every
section is there, each curve has the points of its data, and the page draws the same charts that it
came with; then zooms, hides, searches and points as a reader would. Of three runs: one that is made
up and has all that a run can have, one of a single step, and one that four ranks trained.

usage: check_page.py ROOT CLOZE
"""

import html
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

STEPS = 240
VALIDATED = 40
NULL_STEPS = {50, 51, 170}
EMPTY_STEP = 90  # One without a sentence's target.
LOST = 'rank 1: <b>lost</b> & "gone"'  # Why the run was started again.
TRAINED_STEPS = 6
TRAINED_CONFIG = """
run: {directory: run, steps: 6, seed: 7, threads: 1}
model: {family: glm4, num_hidden_layers: 4, hidden_size: 32, num_attention_heads: 4,
  num_key_value_heads: 2, head_dim: 8, intermediate_size: 64, vocab_size: 400,
  max_position_embeddings: 256}
data: {tokenizer: tokenizer, train: [shards], validation: [shards], seq_length: 128}
batch: {global_size: 8, micro_size: 2}
parallel: {tensor: 2, pipeline: 2}
optimizer: {lr: 3e-3}
schedule: {kind: constant, warmup: 0}
checkpoint: {interval: 3}
validation: {interval: 3, rows: 4}
log: {interval: 1, tensorboard: false}
"""
BROWSER = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
           "--disable-extensions", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
           "--enable-logging=stderr", "--window-size=1500,1000", "--virtual-time-budget=8000"]

# Runs before the page's own script: what came with the page, and what goes wrong.
BEFORE = """<script>
window.faults = [];
window.addEventListener('error', (e) => faults.push('error: ' + e.message));
document.addEventListener('securitypolicyviolation', (e) => faults.push('policy: ' + e.blockedURI));
</script><style>.plot { width: 640px !important } .wide .plot { width: 1280px !important }</style>"""

SNAPSHOT = """<script>
const axisOf = (figure) => [...figure.querySelectorAll('.grid text, .axis text')].map((t) => t.textContent);
const pathsOf = (figure) => [...figure.querySelectorAll('.curve > path:not(.null)')].map((p) => p.getAttribute('d'));
const numbersOf = (d) => (d.match(/-?[0-9.]+/g) || []).map(Number);
const figures = () => Object.fromEntries([...document.querySelectorAll('.chart')].map((figure) => [figure.id,
  {axis: axisOf(figure), paths: pathsOf(figure), lanes: figure.querySelectorAll('.lane circle').length}]));
window.came = figures();
</script>"""

# Runs last: does what a reader does, and writes down what happened.
AFTER = """<script>
const results = {came, drawn: figures(), width: window.innerWidth};
const figure = (id) => document.getElementById('chart-' + id);
const send = (svg, kind, share) => {
  const box = svg.getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent(kind, {bubbles: true, button: 0, pointerId: 1, pointerType: 'mouse',
    clientX: box.left + 64 + share * (box.width - 80), clientY: box.top + 60}));
};
SVGElement.prototype.setPointerCapture = () => {};  // There is no pointer to capture.
const loss = figure('loss');
const svg = loss.querySelector('svg');
results.sections = [...document.querySelectorAll('section')].map((s) => [s.id, s.offsetHeight]);
results.hiddenTools = [...document.querySelectorAll('.script')].filter((t) => getComputedStyle(t).display === 'none').length;
send(svg, 'pointermove', 0.5);
results.tip = document.querySelector('.tip').hidden ? '' : document.querySelector('.tip').textContent;
send(svg, 'pointerleave', 0.5);
results.tipGone = document.querySelector('.tip').hidden;
svg.focus();
svg.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
results.keyTip = document.querySelector('.tip').textContent;
svg.blur();
loss.querySelector('.log').click();
results.log = figures()['chart-loss'];
results.logPressed = loss.querySelector('.log').getAttribute('aria-pressed');
loss.querySelector('.log').click();
results.linear = figures()['chart-loss'];
loss.querySelector('.key').click();
results.hidden = figures()['chart-loss'].paths.length;
results.hiddenPressed = loss.querySelector('.key').getAttribute('aria-pressed');
loss.querySelector('.key').click();
send(svg, 'pointerdown', 0.25);
send(svg, 'pointermove', 0.5);
send(svg, 'pointerup', 0.5);
results.zoomed = figures();
results.zoomOut = document.getElementById('zoom-out').disabled;
document.getElementById('zoom-out').click();
results.out = figures();
const search = document.getElementById('config-search');
if (search) {
  search.value = 'LR';
  search.dispatchEvent(new Event('input'));
  results.search = [...document.querySelectorAll('#config-text > span:not([hidden])')].map((s) => s.textContent.trim());
  results.found = document.getElementById('config-found').textContent;
  search.value = '';
  search.dispatchEvent(new Event('input'));
  results.all = document.querySelectorAll('#config-text > span:not([hidden])').length;
}
const ranks = [...document.querySelectorAll('.rank')];
if (ranks.length > 0) {
  ranks[0].dispatchEvent(new PointerEvent('pointerenter'));
  results.shares = ranks.map((rank) => [rank.textContent, [...rank.classList].slice(1).join(' ')]);
  ranks[0].dispatchEvent(new PointerEvent('pointerleave'));
}
results.table = [...document.querySelectorAll('#event-table tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
results.cells = document.querySelectorAll('.pipeline .forward rect, .pipeline .backward rect').length;
results.loaded = performance.getEntriesByType('resource').map((entry) => entry.name);
results.faults = faults;
results.wide = document.documentElement.scrollWidth;
const pre = document.createElement('pre');
pre.id = 'results';
pre.textContent = JSON.stringify(results);
document.body.append(pre);
</script>"""


def expect(condition, words):
    if not condition:
        expect.failures.append(words)
        print(f"FAILED: {words}")


expect.failures = []


def points(path):
    return path.count("M") + path.count("L")


def near(one, other):
    """The same path but for the rounding of six digits and of a tenth of a pixel."""
    numbers = [[float(n) for n in re.findall(r"-?[0-9.]+", path)] for path in (one, other)]
    letters = [re.sub(r"[^A-Za-z]", "", path) for path in (one, other)]
    return letters[0] == letters[1] and len(numbers[0]) == len(numbers[1]) and all(
        abs(a - b) < 0.25 for a, b in zip(*numbers))


def write_run(folder, root, cloze):
    """A run of 240 steps with what a run can have: gaps, validations, a resume, skips, saves."""
    folder.mkdir()
    shown = subprocess.run(
        [cloze, "config", "show", "configs/quickstart.yaml", "--set", f"run.steps={STEPS}", "--set",
         "parallel.tensor=2", "--set", f"run.directory={folder}"],
        cwd=root, capture_output=True, text=True, check=True)
    (folder / "config.yaml").write_text(shown.stdout)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, STEPS + 1):
            value = 9 * math.exp(-step / 90) + 1 + 0.3 * math.sin(step * 1.7)
            null = step in NULL_STEPS
            line = {"step": step, "loss": None if null else value,
                    "grad_norm": None if null else 1 + abs(math.sin(step)), "lr": 2e-3 * step / STEPS,
                    "tokens": 4096 * step, "tokens_per_second": 14000 + 500 * math.cos(step),
                    "step_seconds": 0.3, "tflops": 0.1, "mfu": 0.5 + 0.02 * math.sin(step),
                    "loss_scale": 1.0, "memory_bytes": 3e8, "data_wait_seconds": 1e-4 * (step % 7),
                    "skipped": null, "loss_mask": value + 0.5, "loss_document": value - 0.2}
            if step != EMPTY_STEP:
                line["loss_sentence"] = value
            if step % VALIDATED == 0:
                line["validation"] = {"loss": value, "perplexity": math.exp(value), "loss_mask": value,
                                      "perplexity_mask": math.exp(value)}
            file.write(json.dumps(line) + "\n")
        file.write("not json\n")
    time = "2026-03-01T10:%02d:00.000Z"
    layout = {"ranks": 8, "pipeline": 2, "data": 2, "tensor": 2, "parameters": 1234567}
    events = [{"event": "start", "step": 0, **layout}, {"event": "save", "step": 100, "seconds": 0.4},
              {"event": "restart", "step": 130, "code": 75, "what": LOST, "checkpoint_step": 100,
               "max_restarts": 3, "total_restarts": 1, "restart": 1, "wait_seconds": 1},
              {"event": "resume", "step": 100, "restarts": 1, **layout}]
    events += [{"event": "skip", "step": step} for step in sorted(NULL_STEPS)]
    events += [{"event": "save_failed", "step": 200, "what": "<img src=x onerror=alert(1)>"},
               {"event": "config_change", "step": 100, "key": "log.interval", "before": "1", "after": "2"},
               {"event": "save", "step": STEPS, "seconds": 0.5}, {"event": "done", "step": STEPS}]
    (folder / "events.jsonl").write_text(
        "".join(json.dumps({"time": time % i, **event}) + "\n" for i, event in enumerate(events)))
    return events


def train_run(scratch, root, cloze):
    """A folder in which four ranks trained a small model; the run in it."""
    scratch.mkdir()
    (scratch / "text.jsonl").write_text("".join(
        json.dumps({"text": f"Line {i} says: the fox is quick. The dog is lazy! And {i * i}?"}) + "\n"
        for i in range(200)))
    (scratch / "config.yaml").write_text(TRAINED_CONFIG)
    for command in (
            [cloze, "tokenizer", "train", "--input", "text.jsonl", "--vocab-size", "380", "--output",
             "tokenizer"],
            [cloze, "prepare", "--input", "text.jsonl", "--tokenizer", "tokenizer", "--output", "shards"],
            [root / "scripts/mpirun", "-n", "4", cloze, "train", "config.yaml"]):
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            sys.exit(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return scratch / "run"


def report(cloze, folder):
    done = subprocess.run([cloze, "report", str(folder)], capture_output=True, text=True)
    expect(done.returncode == 0, f"cloze report {folder.name} ended {done.returncode}: {done.stderr}")
    return (folder / "report.html").read_text()


def browse(browser, scratch, page, instrumented):
    """The results of the page's visit; None without instruments. Nothing may be on the console."""
    path = scratch / "visited.html"
    if instrumented:
        page = page.replace("<body>", "<body>" + BEFORE, 1)
        page = page.replace('<script type="application/json"', SNAPSHOT + '<script type="application/json"', 1)
        page = page.replace("</body></html>", AFTER + "</body></html>")
    path.write_text(page)
    done = subprocess.run([browser, *BROWSER, f"--user-data-dir={scratch}/profile", "--dump-dom",
                           path.as_uri()], capture_output=True, text=True, timeout=300)
    expect(done.returncode == 0, f"the browser ended {done.returncode}: {done.stderr[-2000:]}")
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    expect(not console, f"the console is not empty: {console}")
    if not instrumented:
        expect("scripted" in done.stdout[:4000], "the page's script did not run")
        return None
    found = re.search(r'<pre id="results">(.*?)</pre>', done.stdout, re.S)
    if not found:
        sys.exit(f"the page's visit left no results; {done.stderr[-3000:]}")
    return json.loads(html.unescape(found.group(1)))


def check_run(results, events, lines):
    sections = dict(results["sections"])
    for name in ("summary", "curves", "layout", "pipeline", "events", "config"):
        expect(sections.get(name, 0) > 50, f"section {name} is {sections.get(name)} pixels high")
    expect(results["hiddenTools"] == 0, "tools stay hidden though the script runs")
    expect(results["faults"] == [], f"faults: {results['faults']}")
    expect(results["loaded"] == [], f"the page loaded {results['loaded']}")

    came, drawn = results["came"], results["drawn"]
    finite = STEPS - len(NULL_STEPS)
    expected = {
        "chart-loss": [finite, finite, STEPS // VALIDATED], "chart-norm": [finite, finite],
        "chart-objectives": [STEPS] * 2 + [STEPS - 1] * 2 + [STEPS] * 2, "chart-rate": [STEPS],
        "chart-validation": [STEPS // VALIDATED] * 2, "chart-perplexity": [STEPS // VALIDATED] * 2,
        "chart-throughput": [STEPS] * 2, "chart-mfu": [STEPS] * 2, "chart-memory": [STEPS],
        "chart-wait": [STEPS] * 2, "chart-events": [],
    }
    expect(sorted(came) == sorted(expected), f"charts: {sorted(came)}")
    for name, counts in expected.items():
        for kind, found in (("came", came), ("drawn", drawn), ("zoomed out", results["out"])):
            have = [points(path) for path in found.get(name, {}).get("paths", [])]
            expect(have == counts, f"{name} as {kind} has {have} points, not {counts}")
        expect(came[name]["axis"] == drawn[name]["axis"],
               f"axes of {name} differ: {came[name]['axis']} and {drawn[name]['axis']}")
        for one, other in zip(came[name]["paths"], drawn[name]["paths"]):
            expect(near(one, other), f"a curve of {name} is drawn elsewhere")
    expect(drawn["chart-events"]["lanes"] == came["chart-events"]["lanes"] == len(events),
           f"{drawn['chart-events']['lanes']} events are drawn, not {len(events)}")
    expect(len(results["table"]) == len(events), f"the table has {len(results['table'])} events")
    restarts = [row for row in results["table"] if "Restart" in row]
    expect(len(restarts) == 1 and "130" in restarts[0] and f"what {LOST}" in restarts[0][-1],
           f"the restart's row: {restarts}")
    gaps = drawn["chart-loss"]["paths"][0].count("M")
    expect(gaps == 3, f"the loss is drawn in {gaps} lines: two gaps part it in three")

    loss = lines[119]["loss"]
    expect("step 120" in results["tip"] and f"{loss:.4g}"[:4] in results["tip"], f"tip: {results['tip']}")
    expect(results["tipGone"], "the tip stays when the pointer leaves")
    expect("step" in results["keyTip"], "arrow keys point at nothing")
    expect(results["logPressed"] == "true", "the log button is not pressed")
    expect(results["log"]["axis"] != drawn["chart-loss"]["axis"], "the logarithmic axis is the linear one")
    expect(not near(results["log"]["paths"][0], drawn["chart-loss"]["paths"][0]), "log changes no curve")
    expect(results["linear"] == drawn["chart-loss"], "log twice is not the chart as it was")
    expect(results["hidden"] == 2 and results["hiddenPressed"] == "false", "a hidden curve is drawn")
    zoomed = [points(path) for path in results["zoomed"]["chart-loss"]["paths"]]
    # 25 % to 50 % of 240 steps: 60 to 120 and a neighbour on either side, some of them widened.
    expect(60 <= zoomed[0] <= 66, f"zoomed to {zoomed} points")
    expect(results["zoomed"]["chart-norm"]["axis"] != drawn["chart-norm"]["axis"], "one chart zooms alone")
    expect(results["zoomOut"] is False, "zooming out is not offered")

    expect(any(line.startswith("lr:") for line in results["search"]), f"found {results['search']}")
    expect("optimizer:" in results["search"], "a found line lost its section")
    expect(not any("pipeline" in line for line in results["search"]), "the search shows what it should hide")
    expect(results["found"].endswith(("line", "lines")), f"found: {results['found']}")
    expect(results["all"] > 40, f"{results['all']} lines after an empty search")
    shares = dict(results["shares"])
    expect(shares == {"0": "self", "1": "by-tensor", "2": "by-data", "3": "", "4": "by-pipeline", "5": "",
                      "6": "", "7": ""}, f"rank 0 shares: {shares}")
    # 16 rows, 2 a microbatch, 2 data ranks: 4 microbatches on 2 stages.
    expect(results["cells"] == 2 * 4 * 2, f"{results['cells']} cells of the pipeline")


def check_trained_run(folder, page, results):
    """What the files of a real run hold is on its page, and nothing is missing in them."""
    expect("card notes" not in page, "the page of a whole run has notes")
    sections = dict(results["sections"])
    for name in ("summary", "curves", "layout", "pipeline", "events", "config"):
        expect(sections.get(name, 0) > 50, f"section {name} is {sections.get(name)} pixels high")
    expect(results["faults"] == [] and results["loaded"] == [], f"trained: {results['faults']}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = (folder / "events.jsonl").read_text().splitlines()
    expect(len(lines) == TRAINED_STEPS, f"{len(lines)} steps were trained")
    drawn = results["drawn"]
    # So few steps have no smoothed line.
    for name, counts in (("loss", [TRAINED_STEPS, 2]), ("rate", [TRAINED_STEPS]),
                         ("norm", [TRAINED_STEPS])):
        have = [points(path) for path in drawn[f"chart-{name}"]["paths"]]
        expect(have == counts, f"{name} of the trained run has {have} points")
    counts = [sum(f"loss_{kind}" in line for line in lines) for kind in ("mask", "sentence", "document")]
    expect(min(counts) > 0, f"the trained run lacks an objective: {counts}")
    have = [points(path) for path in drawn["chart-objectives"]["paths"]]
    expect(have == counts, f"the objectives have {have} points, not {counts}")
    expect(drawn["chart-events"]["lanes"] == len(results["table"]) == len(events),
           f"{drawn['chart-events']['lanes']} events are drawn of {len(events)}")
    expect(dict(results["shares"]) == {"0": "self", "1": "by-tensor", "2": "by-pipeline", "3": ""},
           f"rank 0 of 4 shares: {results['shares']}")
    expect(results["cells"] == 2 * 4 * 2, f"{results['cells']} cells of the trained run's pipeline")


def main():
    root, cloze = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no chromium in PATH; fix: scripts/setup tests")
    with tempfile.TemporaryDirectory(prefix="cloze-report-") as name:
        scratch = pathlib.Path(name)
        events = write_run(scratch / "run", root, cloze)
        text = (scratch / "run/metrics.jsonl").read_text().splitlines()[:STEPS]
        page = report(cloze, scratch / "run")
        expect("1 line of metrics.jsonl is not" in page, "the line that is no JSON is not told")
        browse(browser, scratch, page, instrumented=False)
        check_run(browse(browser, scratch, page, instrumented=True), events, [json.loads(t) for t in text])

        # Of one step, without config, events and validation: the page still runs.
        one = scratch / "one"
        one.mkdir()
        (one / "metrics.jsonl").write_text(text[0] + "\n")
        results = browse(browser, scratch, report(cloze, one), instrumented=True)
        expect(results["faults"] == [] and results["loaded"] == [], f"one step: {results['faults']}")
        expect(points(results["drawn"]["chart-loss"]["paths"][0]) == 1, "the one step is not drawn")

        trained = train_run(scratch / "trained", root, cloze)
        page = report(cloze, trained)
        check_trained_run(trained, page, browse(browser, scratch, page, instrumented=True))
    if expect.failures:
        sys.exit(f"{len(expect.failures)} expectations failed")
    print("the page is as it should be")


if __name__ == "__main__":
    main()
