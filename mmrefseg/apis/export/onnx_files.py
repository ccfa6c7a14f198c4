"""From a traced graph to a file for onnxruntime: float32, float16, or 8 bits."""
from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from mmrefseg.errors import MissingPackageError, UserError
from mmrefseg.utils.files import explain_writing

from .traced_graphs import Graph, cannot_export, causes

OPSET = 20
NEEDED = ('onnx', 'onnxruntime', 'onnxscript')
_IN_FILE = 1_800_000_000  # bytes of weights that go into the file itself; protobuf takes 2 GB


def require_onnx() -> None:
    """Make sure that the packages are there, before anything is computed.

    Raises:
        MissingPackageError: one isn't.
    """
    for package in NEEDED:
        try:
            __import__(package)
        except ImportError as error:
            raise MissingPackageError(f'exporting to ONNX needs {package}, which cannot be imported here ({error}): '
                                      'pip install mmrefseg[onnx]') from error


def write_onnx(graph: Graph, folder: Path, precision: str) -> list[str]:
    """Write a traced graph as a file that onnxruntime reads.

    Args:
        graph: the graph.
        folder: where.
        precision: ``'float32'``, ``'float16'`` or ``'int8'``.

    Returns:
        Names of the files.

    Raises:
        InputError: the graph has an operator that ONNX lacks; names it and the part that calls it.
        FileError: a file cannot be written.
    """
    path = folder / f'{graph.name}.onnx'
    weights = sum(value.numel() * value.element_size() for value in graph.program.state_dict.values())
    with explain_writing(path):
        _converted(graph).save(path, external_data=weights > _IN_FILE)
        if precision != 'float32':
            _shrink(path, precision)
    return [name for name in (path.name, f'{path.name}.data') if (folder / name).exists()]


def _converted(graph: Graph) -> Any:
    with _quiet():
        try:
            return torch.onnx.export(
                graph.program, (), dynamo=True, opset_version=OPSET, input_names=graph.inputs,
                output_names=graph.outputs, custom_translation_table=_translations(), verbose=False)
        except UserError:
            raise
        except Exception as error:  # the exporter has a class of its own, and lets others through
            raise cannot_export(error, _operators_without_translation(error, graph.program)) from error


def _translations() -> dict[Any, Any]:
    """Operators that PyTorch's exporter doesn't know."""
    import torchvision.ops  # noqa: F401  (defines the operator)
    from onnxscript import opset20 as op

    def deform_conv(x, weight, offset, mask, bias, stride_h: int, stride_w: int, pad_h: int, pad_w: int,
                    dilation_h: int, dilation_w: int, groups: int, offset_groups: int,
                    use_mask: bool):
        settings: Any = dict(strides=[stride_h, stride_w], pads=[pad_h, pad_w] * 2, dilations=[dilation_h, dilation_w],
                        group=groups, offset_group=offset_groups)
        return op.DeformConv(x, weight, offset, bias, mask if use_mask else None, **settings)

    return {torch.ops.torchvision.deform_conv2d.default: deform_conv}


def _operators_without_translation(error: Exception, program: ExportedProgram) -> str:
    """Which operators a message of the exporter names, and the parts that call them."""
    messages = ' '.join(map(str, causes(error)))
    lacking = {f'{name}.{overload}' for name, overload in re.findall(r"op='([\w.:]+)', overload='(\w+)'", messages)}
    found: dict[str, str] = {}
    for node in program.run_decompositions().graph.nodes:
        if node.op == 'call_function' and str(node.target) in lacking:
            stack = list((node.meta.get('nn_module_stack') or {}).values())
            part = stack[-1][0].removeprefix('image.').removeprefix('text.').removeprefix('model.') if stack else ''
            found.setdefault(str(node.target), part or 'the model')
    return ', '.join(f'operator {name} in {part}' for name, part in found.items()) or 'an operator'


def _shrink(path: Path, precision: str) -> None:
    if precision == 'float16':
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        with _quiet():
            half = convert_float_to_float16(onnx.load(path), keep_io_types=True)
        external = path.with_name(f'{path.name}.data')
        external.unlink(missing_ok=True)
        onnx.save(half, path)
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        # Convolutions stay: onnxruntime's of 8 bits are slower on CPUs than those of floats.
        quantize_dynamic(path, path, op_types_to_quantize=['MatMul', 'Gemm', 'Gather'], per_channel=True,
                         weight_type=QuantType.QInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of libraries on their own insides."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)
