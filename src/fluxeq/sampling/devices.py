"""Devices for sampling: the CPU or a CUDA GPU, with bitwise identical chains."""

from functools import partial

from fluxeq.errors import InputError
from fluxeq.sampling import chains
from fluxeq.sampling.chains import Recorder
from fluxeq.system.capacity import n_processors

DEVICES = ("cpu", "cuda")


def recorder(device: str, n_threads: int = 1) -> Recorder:
    """The function that advances chains on a device; ``n_threads`` applies to the CPU.

    Raises InputError, with the reason, for an unavailable device.
    """
    chains.require_whole("threads", n_threads, 1)
    if device not in DEVICES:
        raise InputError(f"device {device!r}: choose {' or '.join(DEVICES)}")
    if device == "cpu":
        return partial(chains.record, n_threads=min(n_threads, n_processors()))
    try:
        from fluxeq.sampling import gpu
    except ImportError as error:
        raise InputError(
            f"device 'cuda': Numba has no CUDA here ({error}); install the extra cuda, or leave out --device"
        ) from error
    gpu.require_gpu()
    return gpu.record
