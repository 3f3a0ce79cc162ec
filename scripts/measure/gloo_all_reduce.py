"""Times all_reduce of torch.distributed over gloo, on demand.

usage: gloo_all_reduce.py RANKS CALLS BYTES,BYTES,...

For each line of the standard input, RANKS processes make CALLS calls of each size, and it prints the
list of the medians' seconds; a call counts with its slowest rank.
"""

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time

WARM_UP = 2  # Calls, as `cloze bench comm` makes.


def median_of_calls(distributed, torch, tensor, calls):
    times = []
    for call in range(-WARM_UP, calls):
        distributed.barrier()
        start = time.perf_counter()
        distributed.all_reduce(tensor)
        slowest = torch.tensor([time.perf_counter() - start], dtype=torch.float64)
        distributed.all_reduce(slowest, op=distributed.ReduceOp.MAX)
        if call >= 0:
            times.append(slowest.item())
    return statistics.median(times)


def rank_main(rank, ranks, calls, sizes, store, pipe):
    # Imported here: a process that is forked must not have torch's threads.
    import torch
    from torch import distributed

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank,
                                   world_size=ranks)
    pipe.send(torch.__version__)
    while pipe.recv():
        pipe.send([median_of_calls(distributed, torch, torch.zeros(size // 4), calls)
                   for size in sizes])
    distributed.destroy_process_group()


def main():
    ranks, calls = int(sys.argv[1]), int(sys.argv[2])
    sizes = [int(size) for size in sys.argv[3].split(",")]
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for rank in range(ranks):
            here, there = multiprocessing.Pipe()
            process = multiprocessing.Process(
                target=rank_main, args=(rank, ranks, calls, sizes, f"{folder}/store", there),
                daemon=True)
            process.start()
            there.close()  # So that a rank that dies closes it.
            pipes.append(here)
            processes.append(process)
        versions = [pipe.recv() for pipe in pipes]
        print(json.dumps({"torch": versions[0]}), flush=True)
        for _ in sys.stdin:
            for pipe in pipes:
                pipe.send(True)
            print(json.dumps([pipe.recv() for pipe in pipes][0]), flush=True)
        for pipe in pipes:
            pipe.send(False)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
