"""From a traced graph to files of ``torch.export`` and AOTInductor."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import torch

from mmrefseg.utils.files import open_atomically

from .traced_graphs import Graph


def write_pt2(graph: Graph, folder: Path) -> list[str]:
    """Write a graph, and where a C++ compiler is there also a compiled one for this kind of machine.

    Args:
        graph: the graph.
        folder: where.

    Returns:
        Names of the files.

    Raises:
        FileError: a file cannot be written.
    """
    plain, compiled = folder / f'{graph.name}.pt2', folder / f'{graph.name}_compiled.pt2'
    with _written(plain) as file:
        torch.export.save(graph.program, file)
    if not has_compiler():
        return [plain.name]
    with _written(compiled) as file, torch.no_grad():
        torch._inductor.aoti_compile_and_package(graph.program, package_path=file)
    return [plain.name, compiled.name]


@contextmanager
def _written(path: Path) -> Iterator[BytesIO]:
    """What goes into a file; PyTorch's own writer ends the process where the disk is full."""
    content = BytesIO()
    yield content
    with open_atomically(path) as file:
        file.write(content.getbuffer())


def has_compiler() -> bool:
    """Whether a C++ compiler is there that AOTInductor would find."""
    return any(shutil.which(name) for name in ('g++', 'clang++'))
