"""What figures were measured with: the machine and the libraries."""
from __future__ import annotations

import os
import platform
from importlib.metadata import packages_distributions, version
from pathlib import Path

from mmrefseg.version import __version__

LIBRARIES = ('torch', 'torchvision', 'mmcv', 'mmengine', 'mmseg')  # as they are imported
CGROUP_LIMITS = (Path('/sys/fs/cgroup/memory.max'), Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'))


def cpu_name() -> str:
    """The processor's name, or its architecture where the system doesn't tell."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.machine())


def usable_cores() -> int:
    """How many cores this process may use or, where the system doesn't tell, as on a Mac, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def machine_memory() -> int:
    """Bytes of memory that this machine has, or that its container may take."""
    sizes = [os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')]
    for limit in CGROUP_LIMITS:
        text = limit.read_text().strip() if limit.is_file() else ''
        sizes += [int(text)] if text.isdigit() else []
    return min(sizes)


def computes_in_bfloat16(device: str) -> bool:
    """Whether a device has instructions for bfloat16; one that only imitates them is several times slower than float32.

    Args:
        device: type of the device, such as ``'cuda'``.
    """
    import torch  # here, as commands that draw or read data start without it

    if device == 'cpu':
        return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device != 'cuda' or torch.cuda.is_bf16_supported(including_emulation=False)


def machine() -> dict[str, str | int | None]:
    """Processor, how many of its cores this process may use, and the GPU, if there is one."""
    import torch

    return {
        'cpu': cpu_name(),
        'cores': usable_cores(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def versions() -> dict[str, str]:
    """Versions of Python, of the libraries that figures depend on, by their distributions, and of mmrefseg."""
    # mmcv may be there as mmcv-lite, and OneDL's releases have other names than OpenMMLab's.
    distributions = packages_distributions()
    libraries = {name: version(name) for module in LIBRARIES for name in distributions.get(module, ())}
    return {'python': platform.python_version(), **libraries, 'mmrefseg': __version__}
