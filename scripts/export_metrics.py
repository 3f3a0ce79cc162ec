#!/usr/bin/env python3
"""Writes a run's metrics.jsonl in the form that another tool reads. Without network.

usage: export_metrics.py RUN --to csv|mlflow|wandb --output DIR [--experiment NAME]

  RUN       the run's folder (run.directory), with metrics.jsonl, and config.yaml and events.jsonl
            where they are
  csv       DIR/metrics.csv: a row a logged step, a column a metric
  mlflow    DIR/mlruns, MLflow's file store: MLFLOW_ALLOW_FILE_STORE=true mlflow ui
            --backend-store-uri DIR/mlruns
  wandb     DIR/wandb/offline-run-*, by the wandb package, which must be installed: wandb sync

The same run written again replaces what was written of it (wandb: adds another offline run).
Exit codes: 0 done, 64 usage, 65 RUN is missing or damaged, 73 DIR cannot be written.
"""

import argparse
import bisect
import csv
import datetime
import hashlib
import json
import math
import os
import pathlib
import shutil
import sys

USAGE, BAD_INPUT, CANNOT_WRITE = 64, 65, 73


class Failure(Exception):
    def __init__(self, code, what, fix):
        super().__init__(what)
        self.code, self.what, self.fix = code, what, fix


# ---- what a run holds -------------------------------------------------------------------------


def read_lines(path):
    """The objects of a file of JSON lines. A last line without its end is a write cut short."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(BAD_INPUT, f"cannot read {path}: {error}",
                      "name the folder of a run, its run.directory") from error
    records = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise Failure(BAD_INPUT, f"{path}:{number} is no JSON: {error}",
                          "restore the file, or cut it before that line") from error
        if not isinstance(record, dict):
            raise Failure(BAD_INPUT, f"{path}:{number} is no object",
                          "restore the file, or cut it before that line")
        records.append(record)
    return records


def read_metrics(path):
    """[(step, {name: number})]; `validation: {loss}` is validation/loss, null is NaN."""
    rows = []
    for number, record in enumerate(read_lines(path), start=1):
        step = record.pop("step", None)
        if not isinstance(step, int) or isinstance(step, bool):
            raise Failure(BAD_INPUT, f"{path}:{number} has no step", "name the metrics of a run")
        if rows and step <= rows[-1][0]:
            raise Failure(BAD_INPUT, f"{path}:{number}: step {step} after step {rows[-1][0]}",
                          "cut the lines that are there twice")
        values = {}
        for key, value in record.items():
            inner = value.items() if isinstance(value, dict) else [(None, value)]
            for part, single in inner:
                name = key if part is None else f"{key}/{part}"
                if single is None:
                    single = math.nan
                if not isinstance(single, (int, float)):
                    raise Failure(BAD_INPUT, f"{path}:{number}: {name} is no number",
                                  "name the metrics of a run")
                values[name] = int(single) if isinstance(single, bool) else single
        rows.append((step, values))
    if not rows:
        raise Failure(BAD_INPUT, f"{path} holds no whole line", "export after the first step")
    return rows


def milliseconds(stamp):
    """2026-03-01T12:34:56.789Z -> milliseconds since 1970; None for anything else."""
    try:
        time = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        return round(time.timestamp() * 1000)
    except (AttributeError, TypeError, ValueError):
        return None


def anchors_of(events):
    """[(step, time)] of the journal, steps in order: a resume takes back what lay behind it."""
    anchors = []
    for event in events:
        step, time = event.get("step"), milliseconds(event.get("time"))
        if isinstance(step, int) and time is not None:
            while anchors and anchors[-1][0] > step:
                anchors.pop()
            anchors.append((step, time))
    return anchors


def times_of(rows, events, last_written):
    """Milliseconds since 1970 of each row. metrics.jsonl holds none: they lie evenly between the
    events of the journal, and step_seconds apart beyond them."""
    anchors = anchors_of(events) or [(rows[-1][0], last_written)]
    steps = [step for step, _ in anchors]
    times = []
    for step, values in rows:
        seconds = values.get("step_seconds", 0.0)
        pace = 1000 * seconds if math.isfinite(seconds) else 0.0
        after = bisect.bisect_left(steps, step)
        if after == len(anchors):
            time = anchors[-1][1] + (step - steps[-1]) * pace
        elif after == 0:
            time = anchors[0][1] - (steps[0] - step) * pace
        else:
            (low, begin), (high, end) = anchors[after - 1], anchors[after]
            time = begin + (end - begin) * (step - low) / (high - low)
        times.append(round(max(time, times[-1] if times else 0)))
    return times


def flattened(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[prefix + str(key)] = value if isinstance(value, str) else json.dumps(value)
    return flat


def read_config(path):
    """{section.key: text} of the resolved config; empty, with a notice, where it cannot be read."""
    if not path.exists():
        return {}
    try:
        import yaml
    except ImportError:
        print("notice: without PyYAML the config is left out (pip install pyyaml)", file=sys.stderr)
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Failure(BAD_INPUT, f"cannot read {path}: {error}", "restore or remove it") from error
    return flattened(tree) if isinstance(tree, dict) else {}


class Run:
    def __init__(self, folder):
        metrics = folder / "metrics.jsonl"
        self.folder = folder
        self.rows = read_metrics(metrics)
        journal = folder / "events.jsonl"
        self.events = read_lines(journal) if journal.exists() else []
        self.times = times_of(self.rows, self.events, round(metrics.stat().st_mtime * 1000))
        self.config = read_config(folder / "config.yaml")
        self.name = self.config.get("run.name") or folder.resolve().name
        ids = [event["run_id"] for event in self.events if isinstance(event.get("run_id"), str)]
        # The run's own name for itself: the same from wherever it is exported.
        self.id = hashlib.md5((ids[0] if ids else str(folder.resolve())).encode()).hexdigest()
        last = self.events[-1].get("event") if self.events else None
        self.status = {"done": "FINISHED", "preempted": "KILLED", "crash_loop": "FAILED",
                       "restarts_spent": "FAILED"}.get(last, "RUNNING")

    def names(self):
        """Of all metrics, in the order in which they appear."""
        return list(dict.fromkeys(name for _, values in self.rows for name in values))


# ---- what is written --------------------------------------------------------------------------


def write_csv(run, output, _experiment):
    path = output / "metrics.csv"
    temporary = output / f".metrics.csv.tmp-{os.getpid()}"
    names = run.names()
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", "time_ms", *names])
            for (step, values), time in zip(run.rows, run.times):
                # The shortest digits that read back to the same number; nothing for NaN.
                cells = ["" if math.isnan(value := values.get(name, math.nan)) else repr(value)
                         for name in names]
                writer.writerow([step, time, *cells])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return f"{path}: {len(run.rows)} steps, {len(names)} metrics"


# MLflow's file store, as mlflow/store/tracking/file_store.py writes and reads it:
#   mlruns/EXPERIMENT/meta.yaml
#   mlruns/EXPERIMENT/RUN/meta.yaml, metrics/NAME, params/NAME, tags/NAME, artifacts/
# A metric is a file of lines "TIMESTAMP VALUE STEP", a parameter or a tag a file of its text. A
# name with slashes is a file in folders. Scalars are written as JSON, which YAML reads.
MLFLOW_STATUS = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
MLFLOW_LONGEST_PARAM = 6000


def write_meta(path, fields):
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in fields.items()),
                    encoding="utf-8")


def mlflow_experiment(store, name, time):
    """The folder of the experiment of this name: the one that is there, else a new one."""
    for meta in sorted(store.glob("*/meta.yaml")):
        for line in meta.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key == "name" and value.strip().strip("'\"") == name:
                return meta.parent
    folder = store / str(int(hashlib.md5(name.encode()).hexdigest(), 16) % 10**18).zfill(18)
    folder.mkdir(parents=True, exist_ok=True)
    write_meta(folder / "meta.yaml",
               {"artifact_location": folder.resolve().as_uri(), "creation_time": time,
                "experiment_id": folder.name, "last_update_time": time,
                "lifecycle_stage": "active", "name": name})
    return folder


def write_mlflow(run, output, experiment):
    store = output / "mlruns"
    store.mkdir(exist_ok=True)
    home = mlflow_experiment(store, experiment, run.times[0])
    folder = home / run.id
    # Without a meta.yaml below mlruns/EXPERIMENT, MLflow takes a folder for no run; a hidden one
    # that a crash leaves is replaced by the next export.
    temporary = home / f".{run.id}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    for part in ("metrics", "params", "tags", "artifacts"):
        (temporary / part).mkdir(parents=True)
    for name in run.names():
        path = temporary / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            for (step, values), time in zip(run.rows, run.times):
                if name in values:
                    file.write(f"{time} {values[name]!r} {step}\n")
    for name, text in run.config.items():
        (temporary / "params" / name).write_text(text[:MLFLOW_LONGEST_PARAM], encoding="utf-8")
    tags = {"mlflow.runName": run.name, "mlflow.source.type": "LOCAL",
            "mlflow.source.name": "cloze train", "cloze.directory": str(run.folder)}
    for name, text in tags.items():
        (temporary / "tags" / name).write_text(text, encoding="utf-8")
    write_meta(temporary / "meta.yaml",
               {"artifact_uri": (folder.resolve() / "artifacts").as_uri(),
                "end_time": None if run.status == "RUNNING" else run.times[-1],
                "entry_point_name": "", "experiment_id": home.name, "lifecycle_stage": "active",
                "run_id": run.id, "run_name": run.name, "run_uuid": run.id, "source_name": "",
                "source_type": 4, "source_version": "", "start_time": run.times[0],
                "status": MLFLOW_STATUS[run.status], "tags": [], "user_id": ""})
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return f"{folder}: {len(run.rows)} steps, {len(run.names())} metrics, {len(run.config)} params"


def write_wandb(run, output, experiment):
    try:
        import wandb
    except ImportError as error:
        raise Failure(USAGE, "--to wandb needs the wandb package, which this Python does not have: "
                      "W&B publishes no format of its offline files",
                      "pip install wandb for the Python that runs this script, or use --to csv"
                      ) from error
    session = wandb.init(mode="offline", dir=str(output), project=experiment, name=run.name,
                         id=run.id, config=run.config, settings=wandb.Settings(silent=True))
    for (step, values), time in zip(run.rows, run.times):
        session.log({**values, "time_ms": time}, step=step)
    session.finish()
    return f"{output / 'wandb'}: {len(run.rows)} steps; wandb sync {output / 'wandb'}/offline-run-*"


WRITERS = {"csv": write_csv, "mlflow": write_mlflow, "wandb": write_wandb}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failure(USAGE, message, "see export_metrics.py --help")


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=pathlib.Path)
    parser.add_argument("--to", required=True, choices=sorted(WRITERS))
    parser.add_argument("--output", required=True, metavar="DIR", type=pathlib.Path)
    parser.add_argument("--experiment", default="cloze", metavar="NAME",
                        help="MLflow's experiment, W&B's project")
    try:
        options = parser.parse_args()
        run = Run(options.run)
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            print(WRITERS[options.to](run, options.output, options.experiment))
        except OSError as error:
            raise Failure(CANNOT_WRITE, f"cannot write to {options.output}: {error}",
                          "name a folder that can be written to") from error
    except Failure as failure:
        print(f"error: {failure.what}\n  fix: {failure.fix}", file=sys.stderr)
        sys.exit(failure.code)


if __name__ == "__main__":
    main()
