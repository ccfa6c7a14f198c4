"""How long calls take, in turn, so that what else the machine does slows all alike."""
from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from statistics import median, quantiles
from typing import TypeVar

import torch
from torch.nn.functional import conv2d

Name = TypeVar('Name', bound=Hashable)

_SMALLEST_PRODUCT, _LARGEST_PRODUCT = 64, 8192
_LONG_PRODUCT = 0.02  # seconds


def time_calls(calls: Mapping[Name, Callable[[], object]], device: torch.device, warmup: int,
               repeats: int) -> dict[Name, list[float]]:
    """Seconds that each call takes until the device is done, without the first ones."""
    seconds = {name: [] for name in calls}
    for _ in range(warmup + repeats):
        for name, call in calls.items():
            _synchronize(device)
            start = time.perf_counter()
            call()
            _synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: values[warmup:] for name, values in seconds.items()}


def _synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def latency(seconds: Sequence[float], batch: int) -> dict[str, float]:
    """Median, quartiles and fastest of a call, in milliseconds, and how many images per second that makes."""
    first, _, third = quantiles(seconds, n=4, method='inclusive')
    return {
        'median_ms': 1e3 * median(seconds),
        'fastest_ms': 1e3 * min(seconds),
        'first_quartile_ms': 1e3 * first,
        'third_quartile_ms': 1e3 * third,
        'images_per_second': batch / median(seconds),
    }


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """How many times as long a call took as another: the median over rounds, in which they took turns."""
    return median(a / b for a, b in zip(seconds, others, strict=True))


def product_limit(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> float:
    """Operations per second of a matrix product or of a 3×3 convolution, both large for the device: of the faster one.

    On a processor they come from different libraries, either of which may be slow on it.
    """
    side, fastest, limit = _SMALLEST_PRODUCT, 0.0, 0.0
    while fastest < _LONG_PRODUCT and side < _LARGEST_PRODUCT:
        side *= 2
        square = torch.randn(side, side, device=device).to(dtype)
        maps = torch.randn(1, side // 4, 64, 64, device=device).to(dtype)
        kernels = torch.randn(side // 4, side // 4, 3, 3, device=device).to(dtype)
        operations = {partial(torch.matmul, square, square): 2 * side**3,
                      partial(conv2d, maps, kernels, padding=1): 2 * 9 * (side // 4)**2 * 64 * 64}
        seconds = time_calls({call: call for call in operations}, device, 1, repeats)
        fastest = max(min(values) for values in seconds.values())
        limit = max(limit, *(count / min(seconds[call]) for call, count in operations.items()))
    return limit


def reset_peak(device: torch.device) -> None:
    """Begin to watch the memory of a GPU anew; that of a process can't be."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, int | str]:
    """Most bytes at once so far."""
    if device.type == 'cuda':
        return {'bytes': torch.cuda.max_memory_allocated(device), 'of': 'tensors on the GPU, weights included'}
    unit = 1 if sys.platform == 'darwin' else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {'bytes': peak, 'of': 'the process since its start, resident: Python, libraries and model included'}
