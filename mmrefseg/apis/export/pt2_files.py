"""From a traced graph to files of ``torch.export`` and AOTInductor."""
from __future__ import annotations

import shutil
from pathlib import Path

import torch

from mmrefseg.utils.files import explain_writing

from .graphs import Graph


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
    with explain_writing(plain):
        torch.export.save(graph.program, plain)
    if not has_compiler():
        return [plain.name]
    with explain_writing(compiled), torch.no_grad():
        torch._inductor.aoti_compile_and_package(graph.program, package_path=str(compiled))
    return [plain.name, compiled.name]


def has_compiler() -> bool:
    """Whether a C++ compiler is there that AOTInductor would find."""
    return any(shutil.which(name) for name in ('g++', 'clang++'))
