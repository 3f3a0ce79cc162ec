"""NVIDIA's driver by its library alone, for scripts on GPU machines: it needs nothing installed."""

import ctypes
import os


def open_driver():
    """The driver, its answer (0: good) and how many GPUs it shows; None, 0 and 0 without a driver."""
    for library in ("libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
        return driver, error, count.value
    return None, 0, 0


def visible_gpu(index):
    """What CUDA_VISIBLE_DEVICES must be for the GPU that this process sees as `index`."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(index) if visible is None else visible.split(",")[index].strip()
