"""What a computation costs, measured while it runs: activation memory, peak memory, seconds."""

import contextlib
import resource
import sys
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

MIB = 2**20
_PROC = Path("/proc/self")


class PeakMemory:
    """The most memory in use since construction: of the GPU, or of this process if there is none.

    Only Linux can reset the count of a process; elsewhere the peak is that of the whole process so far.

    Args:
        device: where the computation runs.
    """

    def __init__(self, device: torch.device):
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with contextlib.suppress(OSError):
                (_PROC / "clear_refs").write_text("5")

    @property
    def mib(self) -> float:
        """The peak so far, in MiB."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        if (_PROC / "status").exists():
            status = dict(line.split(":", 1) for line in (_PROC / "status").read_text().splitlines())
            return int(status["VmHWM"].split()[0]) / 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / MIB if sys.platform == "darwin" else peak / 1024


def seconds_of(step: Callable[[], object], device: torch.device) -> float:
    """Wall time of one ``step()``, including the work that it leaves to its device.

    Args:
        step: the computation.
        device: where it runs; a GPU is synchronized before and after.

    Returns:
        Seconds.
    """
    _wait_for(device)
    started = time.perf_counter()
    step()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _SavedTensor:
    """What autograd holds in place of a tensor it saves; it dies with the part of the graph that needs it."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor


def activation_bytes(step: Callable[[], torch.Tensor], exclude: Iterable[torch.Tensor] = ()) -> int:
    """Activation memory of a training step: what the graph of ``step()`` saves for its backward pass.

    Counted are the tensors that autograd has saved by the time ``step`` returns, as whole storages, each once: a view
    saves all of the tensor that it is part of, and two operations that save the same tensor share it.

    Args:
        step: runs forward and returns the loss.
        exclude: tensors whose storages do not count, since they are in memory anyway: parameters, buffers and the
            batch itself.

    Returns:
        Bytes, exact and the same at every call.
    """
    alive: weakref.WeakSet[_SavedTensor] = weakref.WeakSet()

    def keep(tensor: torch.Tensor) -> _SavedTensor:
        # An output still attached to its own node would keep the graph alive forever.
        saved = _SavedTensor(tensor.detach())
        alive.add(saved)
        return saved

    # Run forward; tensors that die meanwhile were saved by a part of the graph that the loss does not need.
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        loss = step()

    # Count while the graph still lives, each storage once.
    size_of = {}
    for saved in alive:
        storage = saved.tensor.untyped_storage()
        size_of[storage.data_ptr()] = storage.nbytes()
    del loss
    excluded = {tensor.untyped_storage().data_ptr() for tensor in exclude}
    return sum(size for pointer, size in size_of.items() if pointer not in excluded)
