"""Saves and loads a state of training with PyTorch, on demand.

usage: pytorch_checkpoint.py torch.save|DCP FOLDER PARAMETERS

The state is PARAMETERS fp32 numbers and their two moments, in tensors of the sizes of a block. For
each line of the standard input it saves them to FOLDER, flushed to the device, loads them back into
the tensors, removes the files, and prints the seconds of both.
"""

import json
import os
import pathlib
import shutil
import sys
import time

import torch
import torch.distributed.checkpoint as dcp

LARGEST = 1 << 22  # Numbers of a tensor.


def make_state(parameters):
    state = {}
    for kind in ["parameter", "first_moment", "second_moment"]:
        left = parameters
        while left > 0:
            size = min(left, LARGEST)
            state[f"{kind}.{len(state)}"] = torch.randn(size)
            left -= size
    return state


def save_whole(state, folder):
    with open(folder / "state.pt", "wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())


def load_whole(state, folder):
    loaded = torch.load(folder / "state.pt", weights_only=True)
    for name, tensor in state.items():
        tensor.copy_(loaded[name])


def save_distributed(state, folder):
    # Its writer flushes files to the device by default.
    dcp.save(state, storage_writer=dcp.FileSystemWriter(folder), no_dist=True)


def load_distributed(state, folder):
    dcp.load(state, storage_reader=dcp.FileSystemReader(folder), no_dist=True)


FUNCTIONS = {"torch.save": (save_whole, load_whole), "DCP": (save_distributed, load_distributed)}


def main():
    kind, folder, parameters = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    save, load = FUNCTIONS[kind]
    state = make_state(parameters)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for _ in sys.stdin:
        folder.mkdir()
        start = time.perf_counter()
        save(state, folder)
        saved = time.perf_counter()
        load(state, folder)
        loaded = time.perf_counter()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
        print(json.dumps({"save_seconds": saved - start, "load_seconds": loaded - saved,
                          "bytes": size}), flush=True)


if __name__ == "__main__":
    main()
