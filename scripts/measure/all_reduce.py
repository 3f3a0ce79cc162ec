"""all_reduce of two ranks beside gloo, by sizes."""

import statistics

from rounds import CONFIG, Worker, cloze, ratio_of_rounds, take_turns

RANKS = 2
CALLS = 20  # Of each size in a round.


def measure(options, config):
    del config
    threads = max(1, options.threads // RANKS)

    def ours():
        figures = cloze(["bench", "comm", CONFIG, "--set", f"parallel.tensor={RANKS}",
                         "--rounds", str(CALLS), "--json"], threads, RANKS)
        return {call["bytes"]: call["seconds"] for call in figures["calls"]
                if call["operation"] == "all_reduce"}

    sizes = sorted(ours())
    worker = Worker("gloo_all_reduce.py", RANKS, CALLS, ",".join(map(str, sizes)), threads=threads)
    rounds = take_turns({"cloze": ours, "gloo": lambda: dict(zip(sizes, worker.ask(1)))},
                        options.rounds)
    worker.close()
    result = {}
    for size in sizes:
        seconds = {name: [part[size] for part in parts] for name, parts in rounds.items()}
        result[str(size)] = {name: statistics.median(parts) for name, parts in seconds.items()} | {
            "ratio": ratio_of_rounds(seconds["gloo"], seconds["cloze"])}
    return result


def table(result):
    yield f"| all_reduce of {RANKS} ranks, bytes | cloze, us | gloo, us | gloo / cloze |"
    yield "| --- | --- | --- | --- |"
    for size, part in result.items():
        yield (f"| {size} | {part['cloze'] * 1e6:.0f} | {part['gloo'] * 1e6:.0f} | "
               f"{part['ratio']:.2f} |")
