"""Checks a merged trace by docs/formats.md alone, without the program that wrote it.

    .venv/bin/python scripts/oracles/check_trace.py RUN/trace/trace.json [--microbatches N]
        [--validation-microbatches N] [--one-clock] [--glm4 LAYERS,HIDDEN,TOKENS,BYTES]
        [--explained SHARE] [--overlap]

Ends with 1 and the first contradiction, or prints what the trace holds. --one-clock: all ranks ran
on one host, whose clock they share, so that times are not moved. --glm4: also
compares every transfer of a glm4 model with sequence parallelism with the formula. --explained: the
spans right below a step take that share of it. Ranks that wait for a core fail this now and then.
--overlap: every rank sends gradients to the data ranks before its last backward of a step ends.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict

# Done on a rank only when every rank of the group has come.
MEETINGS = {"all_reduce", "all_gather", "reduce_scatter", "barrier"}


def require(condition, message):
    if not condition:
        sys.exit(f"check_trace: {message}")


class Slice:
    """A complete event, times in nanoseconds."""

    def __init__(self, event):
        self.name, self.category = event["name"], event["cat"]
        self.rank, self.lane = event["pid"], event["tid"]
        self.begin = round(event["ts"] * 1000)
        self.end = self.begin + round(event["dur"] * 1000)
        self.arguments = event["args"]
        self.parent = None
        self.children = []

    def __repr__(self):
        return f"{self.name} of rank {self.rank} at {self.begin} ns, {self.arguments}"

    def operation(self):
        return self.name.rsplit(".", 1)[-1]

    def inside(self, name):
        slice_ = self.parent
        while slice_ is not None and slice_.name != name:
            slice_ = slice_.parent
        return slice_ is not None


class Trace:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        require(content["displayTimeUnit"] == "ms", "displayTimeUnit is not ms")
        self.about = {rank["rank"]: rank for rank in content["otherData"]["ranks"]}
        events = content["traceEvents"]
        self.slices = [Slice(event) for event in events if event["ph"] == "X"]
        self.flows = [event for event in events if event["ph"] in "sf"]
        self.names = {(e["pid"], e["name"], e["tid"]): e["args"] for e in events if e["ph"] == "M"}
        self.process_names = {e["pid"]: e["args"]["name"] for e in events
                              if e["name"] == "process_name"}
        self.drops = [event for event in events if event["ph"] == "i"]
        known = {"X", "s", "f", "M", "i"}
        require({event["ph"] for event in events} <= known, "an event of an unknown kind")
        for rank, about in self.about.items():
            count = sum(slice_.rank == rank for slice_ in self.slices)
            require(count == about["events"], f"rank {rank} has {count} events")

    def is_compute(self, rank, lane):
        """Whether a lane is the rank's thread."""
        return self.names[rank, "thread_name", lane]["name"] == "compute"

    def groups(self):
        """(name, members) of every group with more than one rank."""
        found = set()
        for about in self.about.values():
            for group in about["groups"]:
                require(group["members"][group["rank"]] == about["rank"], f"{group} is wrong")
                if len(group["members"]) > 1:
                    found.add((group["name"], tuple(group["members"])))
        return sorted(found)

    def uncertainty(self, *ranks):
        return sum(self.about[rank]["clock"]["uncertainty_ns"] for rank in ranks)


def check_nesting(trace):
    lanes = defaultdict(list)
    for slice_ in trace.slices:
        lanes[slice_.rank, slice_.lane].append(slice_)
    # Viewers take ids for those of Linux.
    threads = [lane for _, lane in lanes]
    require(len(set(threads)) == len(threads), "two ranks have a thread of one id")
    require(not {0, *trace.about} & set(threads), "a thread has the id of a process, or 0")
    for (rank, lane), slices in lanes.items():
        require((rank, "thread_name", lane) in trace.names, f"lane {lane} of {rank} has no name")
        is_compute = trace.is_compute(rank, lane)
        about = trace.about[rank]
        stack = []
        for slice_ in sorted(slices, key=lambda s: (s.begin, -s.end)):
            require(slice_.end >= slice_.begin, f"{slice_} ends before it begins")
            # Rounding to nanoseconds in the alignment may move an end by one.
            require(slice_.begin >= about["begin_ns"] - 1, f"{slice_} is before the recording")
            require(slice_.end <= about["end_ns"] + 1, f"{slice_} is behind the recording")
            while stack and stack[-1].end <= slice_.begin:
                stack.pop()
            if stack:
                require(slice_.end <= stack[-1].end, f"{slice_} leaves {stack[-1]}")
                require(is_compute, f"{slice_} and {stack[-1]} lie on one lane")
                slice_.parent = stack[-1]
                stack[-1].children.append(slice_)
            stack.append(slice_)


def check_steps(trace, microbatches, validation_microbatches):
    coverage = {}
    for rank, about in trace.about.items():
        mine = [slice_ for slice_ in trace.slices if slice_.rank == rank]
        steps = [slice_ for slice_ in mine if slice_.name == "step"]
        require([s.arguments["step"] for s in steps] == about["steps"], f"steps of rank {rank}")
        for step in steps:
            number = step.arguments["step"]
            counts = Counter(child.name for child in step.children)
            require(counts["data wait"] == 1, f"{step} waits {counts['data wait']} times for data")
            # A skipped step has neither.
            require(counts["optimizer"] == counts["publish weights"], f"{step} has {counts}")
            for name in ("forward", "backward") if microbatches else ():
                seen = [c.arguments["microbatch"] for c in step.children if c.name == name]
                stages = {c.arguments["stage"] for c in step.children if c.name == name}
                require(sorted(seen) == list(range(microbatches)), f"{step}: {name} of {seen}")
                require(stages == {about["coordinates"]["stage"]}, f"{step}: stages {stages}")
            covered = sum(child.end - child.begin for child in step.children)
            coverage[rank, number] = covered / (step.end - step.begin)
        for validation in (s for s in mine if s.name == "validation"):
            counts = Counter(child.name for child in validation.children)
            require(counts["forward"] == validation_microbatches and counts["backward"] == 0,
                    f"{validation} has {counts}")
    return coverage


def gaps_of(step):
    """What lies between the spans right below a step, and at its ends: (place, nanoseconds)."""
    seen, before, end = Counter(), "begin", step.begin
    for child in [*step.children, None]:
        place = (before, child.name if child else "end")
        seen[place] += 1
        yield (*place, seen[place]), (child.begin if child else step.end) - end
        if child:
            before, end = child.name, child.end


def check_explained(trace, share):
    """Between two spans a rank may lose its core for longer than a small step lasts. A hole in the
    program is in every step: of each gap the smallest one counts, and of a rank the best step."""
    for rank in trace.about:
        steps = [s for s in trace.slices if s.rank == rank and s.name == "step"]
        smallest = {}
        for step in steps:
            for place, gap in gaps_of(step):
                smallest[place] = min(gap, smallest.get(place, gap))
        explained = max(1 - sum(smallest[place] for place, _ in gaps_of(step))
                        / (step.end - step.begin) for step in steps)
        require(explained >= share, f"spans explain {explained:.1%} of a step of rank {rank}")


def check_overlap(trace):
    for rank, about in trace.about.items():
        for number in about["steps"]:
            mine = [s for s in trace.slices if s.rank == rank and s.arguments["step"] == number]
            ends = [s.end for s in mine if s.name == "backward"]
            begins = [s.begin for s in mine
                      if s.category == "collective" and s.name == "data.all_to_all"]
            require(ends and begins, f"rank {rank} reduces nothing in step {number}")
            require(min(begins) < max(ends),
                    f"rank {rank} reduces no gradient before step {number} has gone backward")


def check_calls(trace):
    """The same calls in the same order on all members; none is done before all have come."""
    calls = defaultdict(dict)
    for slice_ in trace.slices:
        if slice_.category != "collective":
            continue
        group = slice_.arguments["group"]
        require(slice_.name == f"{group}.{slice_.operation()}", f"{slice_} has another name")
        mine = calls[slice_.rank, group]
        require(slice_.arguments["call"] == len(mine), f"{slice_} is call {len(mine)}")
        mine[slice_.arguments["call"]] = slice_
    for name, members in trace.groups():
        lists = [calls[rank, name] for rank in members]
        require(len({len(mine) for mine in lists}) == 1, f"{name} {members} made unlike many calls")
        for number in range(len(lists[0])):
            together = [mine[number] for mine in lists]
            require(len({slice_.name for slice_ in together}) == 1, f"unlike calls: {together}")
            if together[0].operation() != "all_to_all":
                require(len({s.arguments["bytes"] for s in together}) == 1, f"bytes of {together}")
            if together[0].operation() not in MEETINGS:
                continue
            for done in together:
                for come in together:
                    require(done.end + trace.uncertainty(done.rank, come.rank) >= come.begin,
                            f"{done} was done before {come}")
    waits = [slice_ for slice_ in trace.slices if slice_.category == "wait"]
    for wait in waits:
        require(trace.is_compute(wait.rank, wait.lane) and wait.name.startswith("wait "),
                f"{wait} is no wait")
        if "call" in wait.arguments:
            call = calls[wait.rank, wait.arguments["group"]][wait.arguments["call"]]
            require(call.name == wait.name[5:], f"{wait} waits for {call}")
            require(call.begin <= wait.begin and call.end <= wait.end + 1, f"{wait} and {call}")
    return sum(map(len, calls.values())), len(waits)


def check_messages(trace):
    sides = {"send": {}, "receive": {}}
    for slice_ in trace.slices:
        if slice_.category != "message":
            continue
        kind, arguments = slice_.operation(), slice_.arguments
        ends = (slice_.rank, arguments["peer"]) if kind == "send" else (arguments["peer"], slice_.rank)
        key = (arguments["group"], *ends, arguments["message"])
        require(key not in sides[kind], f"{slice_} is there twice")
        sides[kind][key] = slice_
    require(sides["send"].keys() == sides["receive"].keys(),
            f"no other side: {sides['send'].keys() ^ sides['receive'].keys()}")
    for key, send in sides["send"].items():
        receive = sides["receive"][key]
        require(send.arguments["bytes"] == receive.arguments["bytes"], f"{send} and {receive}")
        require(receive.end + trace.uncertainty(send.rank, receive.rank) >= send.begin,
                f"{receive} ended before {send} began")
    ids = {phase: Counter(f["id"] for f in trace.flows if f["ph"] == phase) for phase in "sf"}
    require(ids["s"] == ids["f"] and len(ids["s"]) == len(sides["send"]), "arrows without an end")
    require(all(count == 1 for count in ids["s"].values()), "two arrows have one number")
    return len(sides["send"])


def check_glm4(trace, microbatches, layers, hidden, tokens, width):
    """Transfers of forward and backward by the formulas of Megatron-LM's sequence parallelism."""
    tensor = 1 + max(about["coordinates"]["tensor"] for about in trace.about.values())
    stages = 1 + max(about["coordinates"]["stage"] for about in trace.about.values())
    require(tensor > 1 and layers % stages == 0, "give a layout with tensor ranks and even stages")
    whole = tokens * hidden * width
    for rank, about in trace.about.items():
        stage = about["coordinates"]["stage"]
        mine, first, last = layers // stages, stage == 0, stage == stages - 1
        for number in about["steps"]:
            counts, products = Counter(), 0
            for slice_ in trace.slices:
                if slice_.rank != rank or slice_.arguments["step"] != number:
                    continue
                if slice_.category == "wait" and slice_.arguments["group"] == "tensor":
                    for part in ("forward", "backward"):
                        if slice_.inside(part) and slice_.inside("step"):
                            counts[part, slice_.operation(), slice_.arguments["bytes"]] += 1
                products += slice_.name == "weight gradient"
                if slice_.category == "message" and slice_.arguments["group"] != "embedding":
                    require(slice_.arguments["bytes"] == whole // tensor, f"bytes of {slice_}")
                    counts[slice_.name] += 1
            # A layer gathers before q|k|v and gate|up and scatters behind the other two; backward
            # gathers all four inputs or gradients, and scatters the gradients of the first two.
            expected = {
                ("forward", "all_gather", whole): 2 * mine + last,
                ("forward", "reduce_scatter", whole): 2 * mine + first + last,
                ("backward", "all_gather", whole): 4 * mine + first,
                ("backward", "reduce_scatter", whole): 2 * mine,
                "pipeline_forward.send": not last, "pipeline_forward.receive": not first,
                "pipeline_backward.send": not first, "pipeline_backward.receive": not last,
            }
            for what, each in expected.items():
                require(counts[what] == each * microbatches,
                        f"rank {rank}, step {number}: {counts[what]} of {what}, not "
                        f"{each * microbatches}")
            other = [key for key in counts if key not in expected and key[1] != "all_reduce"]
            require(not other, f"rank {rank}, step {number}: also {other}")
            # The head sums one number a target, then two; less than a chunk of targets here.
            sums = sorted(key[2] for key in counts for _ in range(counts[key])
                          if key[0] == "forward" and key[1] == "all_reduce")
            halves = Counter(sums)
            require(len(sums) == 2 * microbatches * last, f"rank {rank}: sums of the head {sums}")
            ones = []
            for size in sums:
                if halves[size] > 0:
                    halves[size] -= 1
                    halves[2 * size] -= 1
                    ones.append(size)
            require(not +halves and not -halves, f"rank {rank}: sums of the head {sums}")
            require(all(size % 4 == 0 for size in ones), f"rank {rank}: sums of the head {sums}")
            # q|k|v, output, gate|up, down; the head's matrix and the embedding's table.
            each = 4 * mine + first + last
            require(products == each * microbatches,
                    f"rank {rank}, step {number}: {products} products, not {each * microbatches}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace")
    parser.add_argument("--microbatches", type=int)
    parser.add_argument("--validation-microbatches", type=int, default=0)
    parser.add_argument("--one-clock", action="store_true")
    parser.add_argument("--glm4", metavar="LAYERS,HIDDEN,TOKENS,BYTES")
    parser.add_argument("--explained", type=float, metavar="SHARE")
    parser.add_argument("--overlap", action="store_true")
    arguments = parser.parse_args()
    trace = Trace(arguments.trace)
    require(sorted(trace.about) == list(range(len(trace.about))), "ranks are missing")
    for rank, about in trace.about.items():
        places = ", ".join(f"{axis} {place}" for axis, place in about["coordinates"].items())
        name = f"rank {rank} ({places}) {about['host']}"
        require(trace.process_names[rank] == name, f"rank {rank} has no name")
        require(about["num_ranks"] == len(trace.about), f"rank {rank} knows of other ranks")
        require(about["events_dropped"] == 0 and not trace.drops, f"rank {rank} dropped events")
        clock = about["clock"]
        if arguments.one_clock:
            require(not any(clock.values()), f"rank {rank} has another clock: {clock}")
    check_nesting(trace)
    coverage = check_steps(trace, arguments.microbatches, arguments.validation_microbatches)
    if arguments.explained:
        check_explained(trace, arguments.explained)
    if arguments.overlap:
        check_overlap(trace)
    num_calls, num_waits = check_calls(trace)
    num_messages = check_messages(trace)
    if arguments.glm4:
        check_glm4(trace, arguments.microbatches, *map(int, arguments.glm4.split(",")))
    print(f"{len(trace.about)} ranks, {len(coverage)} steps, {len(trace.slices)} events: "
          f"{num_calls} calls, {num_waits} waits, {num_messages} messages; "
          f"spans explain {min(coverage.values()):.1%} of a step or more; clocks agree within "
          f"{max(a['clock']['uncertainty_ns'] for a in trace.about.values()) / 1000:.1f} us")


if __name__ == "__main__":
    main()
