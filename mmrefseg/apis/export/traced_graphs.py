"""The parts of a segmentor as modules that ``torch.export`` traces, with names for what goes in and comes out."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from mmrefseg.errors import InputError, UserError
from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.models.segmentors import ReferringSegmentor
from mmrefseg.models.segmentors.image_sharing import takes_text
from mmrefseg.structures import RefSegDataSample

EXPRESSION_INPUTS = ('token_ids', 'token_mask', 'image_index')


class ImageEncoder(nn.Module):
    """What a segmentor computes without a text.

    Args:
        model: the segmentor.
    """

    def __init__(self, model: ReferringSegmentor) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode images: tensors whose first dimension counts images.

        Args:
            image: normalised images (I, 3, S, S).
        """
        return tuple(tree_flatten(self.model.encode_image(image))[0])


class TextAndMask(nn.Module):
    """From what :class:`ImageEncoder` gives to logits.

    Args:
        model: the segmentor.
        structure: how its tensors were nested.
        size: side of the images in pixels, for heads of mmseg.
    """

    def __init__(self, model: ReferringSegmentor, structure: TreeSpec, size: int) -> None:
        super().__init__()
        self.model, self.structure = model, structure
        sample = RefSegDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size)))
        self.samples = None if takes_text(model.decode_head) else [sample]  # heads of mmseg look at the first one

    def forward(self, shared: tuple[Tensor, ...], token_ids: Tensor, token_mask: Tensor, image_index: Tensor) -> Tensor:
        """Answer B questions about images that are encoded already.

        Args:
            shared: what the encoder gave.
            token_ids: int64 (B, L).
            token_mask: bool (B, L), True for real tokens.
            image_index: int64 (B,), which image belongs to each question.

        Returns:
            Logits (B, h, w).
        """
        nested = tree_unflatten(list(shared), self.structure)
        return self.model.answer(nested, token_ids, token_mask, image_index, self.samples)[:, 0]


class WholeModel(nn.Module):
    """Image encoder and answering in one module, which is exported as one file.

    Args:
        image: the first part.
        text: the second part.
    """

    def __init__(self, image: ImageEncoder, text: TextAndMask) -> None:
        super().__init__()
        self.image, self.text = image, text

    def forward(self, image: Tensor, token_ids: Tensor, token_mask: Tensor, image_index: Tensor) -> Tensor:
        """Logits (B, h, w) of B questions about I images, each of which is encoded once.

        Args:
            image: normalised images (I, 3, S, S).
            token_ids: int64 (B, L).
            token_mask: bool (B, L), True for real tokens.
            image_index: int64 (B,), which image belongs to each question.
        """
        return self.text(self.image(image), token_ids, token_mask, image_index)


class Graph(NamedTuple):
    """A traced part of a segmentor, which becomes one file.

    Args:
        name: of its file, without an ending.
        program: what was traced.
        inputs: names of what goes in.
        outputs: names of what comes out.
    """

    name: str
    program: ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def trace(model: ReferringSegmentor, size: int, split: bool, dcn_operator: str) -> list[Graph]:
    """Trace a segmentor, with any number of images and questions.

    Args:
        model: the segmentor, on the CPU and in evaluation mode.
        size: side of its images in pixels.
        split: whether images are encoded by a graph of their own.
        dcn_operator: what computes deformable convolutions, see :class:`DeformableConv`.

    Raises:
        InputError: it cannot be traced; names the part that does what cannot be.
    """
    image = torch.zeros(2, 3, size, size)  # two of one and three of the other, which so stay apart
    text_encoder: Any = model.text_encoder
    token_ids, token_mask = text_encoder.tokenize(['one', 'the other', 'both of them'])
    question = (token_ids, token_mask, torch.tensor([0, 1, 1]))
    images, questions = Dim('images', min=1, max=1 << 16), Dim('questions', min=1, max=1 << 16)
    asked = ({0: questions}, ) * 3
    with _traceable(model, dcn_operator):
        shared, structure = tree_flatten(model.encode_image(image))
        encoder, answerer = ImageEncoder(model), TextAndMask(model, structure, size)
        if not split:
            program = _trace(WholeModel(encoder, answerer), (image, *question), ({0: images}, *asked))
            return [Graph('model', program, ('image', *EXPRESSION_INPUTS), ('logits', ))]
        names = tuple(f'shared_{i}' for i in range(len(shared)))
        first = _trace(encoder, (image, ), ({0: images}, ))
        second = _trace(answerer, (tuple(shared), *question), (({0: images}, ) * len(shared), *asked))
        return [Graph('image', first, ('image', ), names),
                Graph('text_and_mask', second, (*names, *EXPRESSION_INPUTS), ('logits', ))]


def _trace(module: nn.Module, inputs: tuple, dynamic_shapes: tuple) -> ExportedProgram:
    try:
        return torch.export.export(module.eval(), inputs, dynamic_shapes=dynamic_shapes, strict=False)
    except UserError:
        raise
    except Exception as error:  # whatever a part of anybody's does that has no graph
        raise cannot_export(error, part_at_fault(error, module)) from error


def cannot_export(error: Exception, what: str) -> InputError:
    """The message that a model cannot be exported.

    Args:
        error: why.
        what: what in it, such as a part or an operator.
    """
    first = str(list(causes(error))[-1]) or type(error).__name__
    reason = first.strip().partition('\n')[0]
    return InputError(f'the model cannot be exported: {what} has no graph ({type(error).__name__}: {reason}). '
                      'Put another part in its place; --debug shows where in the code it happens')


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on.

    Args:
        error: the error.
    """
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def part_at_fault(error: Exception, model: nn.Module) -> str:
    """The innermost part whose call an error came from, and the operator that was called, if one was.

    Args:
        error: the error.
        model: what the part is in.
    """
    names = {id(module): name for name, module in model.named_modules() if name}
    part, operator = type(model).__name__, ''
    for frame, _ in walk_tb(error.__traceback__):
        inside, func = frame.f_locals.get('self'), frame.f_locals.get('func')
        if id(inside) in names:
            part, operator = f'{names[id(inside)].removeprefix("model.")} ({type(inside).__name__})', ''
        if isinstance(func, torch._ops.OpOverload):
            operator = f'operator {func} in '
    return operator + part


@contextmanager
def _traceable(model: nn.Module, dcn_operator: str) -> Iterator[None]:
    """The model with plain operators in the place of those that are made for speed, which have no graph."""
    convolutions = [(module, module.operator) for module in model.modules() if isinstance(module, DeformableConv)]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for convolution, _ in convolutions:
        convolution.operator = dcn_operator
    model.requires_grad_(False)
    try:
        with torch.enable_grad():  # without gradients, some parts take a way that only Python can go
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for convolution, operator in convolutions:
            convolution.operator = operator
