"""`cloze bench checkpoint` beside torch.save and torch.distributed.checkpoint (DCP): parameters and
two moments of scripts/measure/compare.yaml in fp32, to the same disk and back, files flushed to it.

All are measured in a process that has saved once: the first time, the system has to find memory for
its file cache, a virtual machine from its host, whoever writes."""

import pathlib
import statistics
import tempfile

from rounds import CONFIG, ROOT, Worker, cloze, ratio_of_rounds, take_turns

KINDS = ["torch.save", "DCP"]


def measure(options, config):
    del config
    # Beside the runs, where checkpoints are.
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        folder = pathlib.Path(folder)

        def ours():
            figures = cloze(["bench", "checkpoint", CONFIG, "--rounds", "2", "--json",
                             "--set", f"checkpoint.directory={folder / 'cloze'}"], options.threads)
            return {key: figures[key] for key in ["bytes", "parameters"]} | {
                key: figures[key + "_each"][-1] for key in ["save_seconds", "load_seconds"]}

        first = ours()
        workers = {kind: Worker("pytorch_checkpoint.py", kind, folder / kind, first["parameters"],
                                threads=options.threads) for kind in KINDS}
        for worker in workers.values():
            worker.ask(1)
        measures = {"cloze": ours}
        for kind, worker in workers.items():
            measures[kind] = lambda worker=worker: worker.ask(1)
        rounds = take_turns(measures, options.rounds)
        for worker in workers.values():
            worker.close()
    result = {}
    for name, parts in rounds.items():
        result[name] = {"bytes": parts[0]["bytes"]}
        for what in ["save", "load"]:
            seconds = [part[f"{what}_seconds"] for part in parts]
            base = [part[f"{what}_seconds"] for part in rounds["cloze"]]
            result[name] |= {f"{what}_seconds": statistics.median(seconds),
                             f"{what}_ratio": ratio_of_rounds(seconds, base)}
    return result


def table(result):
    yield "| checkpoint | GB | save, s | against cloze | load, s | against cloze |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, part in result.items():
        yield (f"| {name} | {part['bytes'] / 1e9:.2f} | {part['save_seconds']:.2f} | "
               f"{part['save_ratio']:.2f} | {part['load_seconds']:.2f} | {part['load_ratio']:.2f} |")
