"""What an adapter asks of this machine and of its own process. Needs the standard library alone."""
import ctypes
import os
import signal
import sys


def cpu_flags():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return next((set(line.split(":")[1].split()) for line in file if line.startswith("flags")), set())


def visible_gpus():
    """How many GPUs the NVIDIA driver shows; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return 0 if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) else count.value


def native_bf16():
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def peak_rss_bytes():
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def take_stdout():
    """The pipe to whoever asks. What a library prints to stdout goes to stderr from here on."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", newline="\n")  # a path in a message may be no UTF-8
    os.dup2(2, 1)
    return wire


def die_with_parent(parent):
    """Linux kills this process when the one that started it ends."""
    set_parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)


def quiet_numpy():
    """-> numpy, whose products use the calling thread only. Its own threads do not sleep after a product: for some 30 ms they spin, beside
    those of the runtime that is measured (CTranslate2, one text on two CPUs: 97 ms in place of 44)."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import numpy  # pylint: disable=import-outside-toplevel
    return numpy
