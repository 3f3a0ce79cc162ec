#!/usr/bin/env python3
"""scripts/export_metrics.py: what other tools read of a run, checked with readers of our own and,
where MLflow and W&B are installed, with theirs: MLFLOW_PYTHON and WANDB_PYTHON may name a Python
that has them. MLflow 3.17.2 and W&B 0.31.0 pass.

usage: export_metrics_test.py
"""

import csv
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/export_metrics.py"

METRICS = [
    {"step": 1, "loss": 8.123456789012345, "grad_norm": 1e-300, "lr": 0.0, "tokens": 256,
     "step_seconds": 2.0, "skipped": False},
    {"step": 5, "loss": None, "grad_norm": None, "lr": 3e-3, "tokens": 1280, "step_seconds": 2.0,
     "skipped": True},
    {"step": 9, "loss": 0.1 + 0.2, "grad_norm": 5e-324, "lr": 1e-3, "tokens": 2304,
     "step_seconds": 2.0, "skipped": False, "validation": {"loss": 7.5, "perplexity": 1808.04}},
]
EVENTS = [
    {"time": "2026-03-01T12:00:00.000Z", "event": "start", "step": 0, "run_id": "0123456789abcdef"},
    {"time": "2026-03-01T12:01:00.500Z", "event": "save", "step": 5},
    {"time": "2026-03-01T13:00:00.000Z", "event": "resume", "step": 5},
    {"time": "2026-03-01T13:00:40.000Z", "event": "done", "step": 9},
]
# 12:00:00 + a fifth of a minute and a half second; 12:01:00.5; 13:00:40.
TIMES = [1772366412100, 1772366460500, 1772370040000]
CONFIG = """\
run:
  name: 'trial one'
  steps: 9
data:
  train: [{path: a, weight: 1}]
"""

# The keys that MLflow 3.17 wrote itself for a run and for an experiment, when it was asked to; its
# older versions want run_uuid as well.
MLFLOW_RUN_KEYS = {"artifact_uri", "end_time", "entry_point_name", "experiment_id",
                   "lifecycle_stage", "run_id", "run_name", "source_name", "source_type",
                   "source_version", "start_time", "status", "tags", "user_id"}
MLFLOW_EXPERIMENT_KEYS = {"artifact_location", "creation_time", "experiment_id",
                          "last_update_time", "lifecycle_stage", "name"}

FAKE_WANDB = """
import json, pathlib
class Settings:
    def __init__(self, **given): pass
class Session:
    def __init__(self, given): self.given, self.lines = given, []
    def log(self, values, step): self.lines.append([step, values])
    def finish(self):
        path = pathlib.Path(self.given["dir"]) / "calls.json"
        self.given.pop("settings")
        path.write_text(json.dumps([self.given, self.lines]))
def init(**given): return Session(given)
"""

# Prints the project, the name and the steps of an offline file: a log of records in blocks of 32
# KiB, as LevelDB has them, behind a header of 7 bytes; a record is a protobuf message.
READ_WANDB = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2
data, at, message, run, lines = open(sys.argv[1], "rb").read(), 7, b"", None, []
while at + 7 <= len(data):
    if 32768 - at % 32768 < 7:
        at += 32768 - at % 32768
        continue
    _, size, kind = struct.unpack("<IHB", data[at:at + 7])
    message += data[at + 7:at + 7 + size]
    at += 7 + size
    if kind in (1, 4):  # A whole record, or the last part of one.
        record = wandb_internal_pb2.Record.FromString(message)
        message = b""
        if record.WhichOneof("record_type") == "run":
            run = record.run
        if record.WhichOneof("record_type") == "history":
            lines.append({item.key or "/".join(item.nested_key): json.loads(item.value_json)
                          for item in record.history.item})
print(json.dumps([run.project, run.display_name, lines]))
"""


def python_with(module, variable):
    """The Python that `variable` names, or this one, where it has the module."""
    python = os.environ.get(variable, sys.executable)
    probe = f"import importlib.util as u; print(u.find_spec('{module}') is not None)"
    found = subprocess.run([python, "-c", probe], capture_output=True, text=True).stdout
    return python if found.strip() == "True" else None



class ExportMetricsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.run_folder = self.root / "run"
        self.output = self.root / "output"
        self.run_folder.mkdir()
        self.write(METRICS)
        self.write(EVENTS, "events.jsonl")
        (self.run_folder / "config.yaml").write_text(CONFIG)

    def write(self, records, name="metrics.jsonl", end=""):
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (self.run_folder / name).write_text(text + end, encoding="utf-8")

    def export(self, to, *more, modules="", output=None, python=sys.executable):
        environment = {**os.environ, "PYTHONPATH": str(modules)}
        command = [python, str(SCRIPT), str(self.run_folder), "--to", to, "--output",
                   str(output or self.output), *more]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def expect_failure(self, result, code, *parts):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        for part in ("error: ", "fix: ", *parts):
            self.assertIn(part, result.stderr)

    def rows(self):
        with open(self.output / "metrics.csv", newline="") as file:
            return list(csv.DictReader(file))

    def mlflow_run(self):
        (meta,) = self.output.glob("mlruns/*/*/meta.yaml")
        return meta.parent

    def test_csv_reads_back_to_the_same_numbers(self):
        self.assertEqual(self.export("csv").returncode, 0)
        rows = self.rows()
        self.assertEqual([int(row["step"]) for row in rows], [1, 5, 9])
        self.assertEqual([int(row["time_ms"]) for row in rows], TIMES)
        for row, record in zip(rows, METRICS):
            for name in ("loss", "grad_norm", "lr", "tokens", "step_seconds"):
                expected = "" if record[name] is None else record[name]
                self.assertEqual(expected, float(row[name]) if row[name] else "", name)
        self.assertEqual([row["skipped"] for row in rows], ["0", "1", "0"])
        self.assertEqual([row["validation/loss"] for row in rows], ["", "", "7.5"])

    def test_a_line_that_was_cut_short_is_left_out(self):
        self.write(METRICS[:2], end='{"step": 9, "lo')
        self.assertEqual(self.export("csv").returncode, 0)
        self.assertEqual(len(self.rows()), 2)

    def test_only_a_newline_ends_a_line(self):
        # Unicode has more ends of lines, which JSON lets stand in a text.
        restart = {"time": "2026-03-01T12:30:00.000Z", "event": "restart", "step": 5,
                   "what": "rank 1: one\u2028two\u2029three\u0085four"}
        self.write([*EVENTS[:2], restart, *EVENTS[2:]], "events.jsonl")
        self.assertEqual(self.export("csv").returncode, 0)
        self.assertEqual([int(row["time_ms"]) for row in self.rows()], TIMES)

    def test_without_a_journal_the_last_step_is_when_the_file_was_written(self):
        (self.run_folder / "events.jsonl").unlink()
        os.utime(self.run_folder / "metrics.jsonl", (1000, 1000))
        self.assertEqual(self.export("csv").returncode, 0)
        self.assertEqual([int(row["time_ms"]) for row in self.rows()],
                         [1000_000 - 8 * 2000, 1000_000 - 4 * 2000, 1000_000])

    def test_a_resume_from_an_earlier_step_takes_back_the_events_behind_it(self):
        self.write([*EVENTS[:2], {"time": "2026-03-01T12:02:00Z", "event": "save", "step": 8},
                    *EVENTS[2:]], "events.jsonl")
        self.assertEqual(self.export("csv").returncode, 0)
        self.assertEqual([int(row["time_ms"]) for row in self.rows()], TIMES)

    def test_damaged_metrics_are_65_and_name_the_line(self):
        for bad, part in (('{"step": 2,}\n', ":4 is no JSON"), ("[]\n", ":4 is no object"),
                          ('{"loss": 1}\n', ":4 has no step"), ('{"step": 9}\n', "step 9 after"),
                          ('{"step": 10, "loss": "low"}\n', "loss is no number")):
            self.write(METRICS, end=bad)
            self.expect_failure(self.export("csv"), 65, part)
        self.write([])
        self.expect_failure(self.export("csv"), 65, "no whole line")
        (self.run_folder / "metrics.jsonl").unlink()
        self.expect_failure(self.export("csv"), 65, "metrics.jsonl")
        self.assertFalse(self.output.exists(), "nothing is written of a run that cannot be read")

    def test_a_wrong_command_line_is_64(self):
        self.expect_failure(self.export("excel"), 64, "excel")

    def test_an_output_that_cannot_be_written_is_73(self):
        (self.root / "file").write_text("")
        self.expect_failure(self.export("csv", output=self.root / "file/below"), 73, "below")

    def test_mlflow_store_has_the_layout_that_mlflow_writes(self):
        yaml = __import__("yaml")
        self.assertEqual(self.export("mlflow", "--experiment", "my: trials").returncode, 0)
        folder = self.mlflow_run()
        meta = yaml.safe_load((folder / "meta.yaml").read_text())
        self.assertEqual(set(meta) - {"run_uuid"}, MLFLOW_RUN_KEYS)
        self.assertEqual(meta["run_id"], folder.name)
        self.assertRegex(folder.name, "^[0-9a-f]{32}$")
        self.assertEqual(meta["experiment_id"], folder.parent.name)
        self.assertEqual((meta["status"], meta["source_type"], meta["run_name"]),
                         (3, 4, "trial one"))
        self.assertEqual((meta["start_time"], meta["end_time"]), (TIMES[0], TIMES[2]))
        experiment = yaml.safe_load((folder.parent / "meta.yaml").read_text())
        self.assertEqual(set(experiment), MLFLOW_EXPERIMENT_KEYS)
        self.assertEqual(experiment["name"], "my: trials")
        self.assertEqual((folder / "metrics/grad_norm").read_bytes(),
                         b"1772366412100 1e-300 1\n1772366460500 nan 5\n1772370040000 5e-324 9\n")
        self.assertEqual((folder / "metrics/validation/loss").read_bytes(),
                         b"1772370040000 7.5 9\n")
        self.assertEqual((folder / "params/run.steps").read_bytes(), b"9")
        self.assertEqual((folder / "params/data.train").read_bytes(),
                         b'[{"path": "a", "weight": 1}]')
        self.assertEqual((folder / "tags/mlflow.runName").read_bytes(), b"trial one")

    def test_a_run_that_was_given_up_has_failed(self):
        yaml = __import__("yaml")
        for event in ("crash_loop", "restarts_spent"):
            self.write([*EVENTS[:3], {**EVENTS[3], "event": event}], "events.jsonl")
            self.assertEqual(self.export("mlflow").returncode, 0)
            meta = yaml.safe_load((self.mlflow_run() / "meta.yaml").read_text())
            self.assertEqual((meta["status"], meta["end_time"]), (4, TIMES[2]), event)

    def test_the_same_run_again_replaces_itself_and_keeps_others(self):
        self.assertEqual(self.export("mlflow").returncode, 0)
        first = self.mlflow_run()
        (first / "metrics/old").write_text("1 1 1\n")
        other = first.parent / ("f" * 32)
        other.mkdir()
        self.assertEqual(self.export("mlflow").returncode, 0)
        self.assertEqual(sorted(path.name for path in first.parent.iterdir()),
                         sorted([first.name, other.name, "meta.yaml"]))
        self.assertFalse((first / "metrics/old").exists())

    def test_mlflow_itself_reads_the_store(self):
        python = python_with("mlflow", "MLFLOW_PYTHON")
        if python is None:
            self.skipTest("mlflow is not installed; MLFLOW_PYTHON may name a Python that has it")
        self.assertEqual(self.export("mlflow").returncode, 0)
        program = textwrap.dedent("""
            import json, sys
            from mlflow.tracking import MlflowClient
            client = MlflowClient(sys.argv[1])
            (experiment,) = [e for e in client.search_experiments() if e.name == "cloze"]
            (run,) = client.search_runs([experiment.experiment_id])
            history = {key: [[m.timestamp, m.value, m.step]
                             for m in client.get_metric_history(run.info.run_id, key)]
                       for key in ("loss", "validation/loss")}
            print(json.dumps([run.info.status, run.info.run_name, run.data.params, history]))
        """)
        environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"}
        result = subprocess.run([python, "-c", program, str(self.output / "mlruns")],
                                capture_output=True, text=True, env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        status, name, params, history = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual((status, name, params["run.steps"]), ("FINISHED", "trial one", "9"))
        self.assertEqual(history["validation/loss"], [[TIMES[2], 7.5, 9]])
        losses = [value for _, value, _ in history["loss"]]
        self.assertEqual((losses[0], losses[2]), (METRICS[0]["loss"], METRICS[2]["loss"]))
        self.assertTrue(math.isnan(losses[1]))

    def test_wandb_is_called_with_every_step(self):
        modules = self.root / "modules"
        modules.mkdir()
        (modules / "wandb.py").write_text(FAKE_WANDB)
        result = self.export("wandb", "--experiment", "trials", modules=modules)
        self.assertEqual(result.returncode, 0, result.stderr)
        given, lines = json.loads((self.output / "calls.json").read_text())
        self.assertEqual((given["mode"], given["project"], given["name"]),
                         ("offline", "trials", "trial one"))
        self.assertEqual(given["config"]["run.steps"], "9")
        self.assertEqual([step for step, _ in lines], [1, 5, 9])
        self.assertEqual(lines[2][1]["validation/perplexity"], 1808.04)
        self.assertTrue(math.isnan(lines[1][1]["loss"]))

    def test_wandb_itself_writes_every_step(self):
        python = python_with("wandb", "WANDB_PYTHON")
        if python is None:
            self.skipTest("wandb is not installed; WANDB_PYTHON may name a Python that has it")
        result = self.export("wandb", "--experiment", "trials", python=python)
        self.assertEqual(result.returncode, 0, result.stderr)
        (file,) = self.output.glob("wandb/offline-run-*/*.wandb")
        result = subprocess.run([python, "-c", READ_WANDB, str(file)], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        project, name, lines = json.loads(result.stdout)
        self.assertEqual((project, name), ("trials", "trial one"))
        self.assertEqual([line["_step"] for line in lines], [1, 5, 9])
        self.assertEqual([line["time_ms"] for line in lines], TIMES)
        self.assertEqual([line["skipped"] for line in lines], [0, 1, 0])
        self.assertTrue(math.isnan(lines[1]["loss"]))
        self.assertEqual(lines[2]["validation/perplexity"], 1808.04)
        for line in (0, 2):  # W&B itself may write the neighbour of a number.
            for key in ("loss", "grad_norm"):
                self.assertAlmostEqual(lines[line][key] / METRICS[line][key], 1, delta=4e-16)

    def test_without_wandb_the_export_says_what_to_do(self):
        if importlib.util.find_spec("wandb"):
            self.skipTest("wandb is installed")
        self.expect_failure(self.export("wandb"), 64, "pip install wandb", "--to csv")


if __name__ == "__main__":
    unittest.main()
