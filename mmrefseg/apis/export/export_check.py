"""Is an exported model the same? Tokens, logits, masks, mIoU and latency beside PyTorch's."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track

from mmrefseg.errors import UserError
from mmrefseg.registry import DATASETS

from ..config_to_model import read_config
from ..inference import RefSegInferencer, RefSegResult
from .refseg_onnx import Answer, Model
from .tokenizer_check_strings import tokenizer_check_strings

MOST_LOGITS, MOST_MASKS, MOST_TIME = 1e-3, 1e-3, 1.1
_QUESTIONS = ('the red car', 'the man in the blue shirt on the left', 'a dog', 'second cup from the right')
_RUNS = 15


class Agreement(NamedTuple):
    """How masks of a data set agree.

    Args:
        number: of expressions.
        apart: pixels that differ, as a share of all unions.
        ious: float64 (N, 2), IoU of each expression, PyTorch's and the exported model's.
    """

    number: int
    apart: float
    ious: np.ndarray


def check_export(ask: RefSegInferencer, config: str, folder: str | Path, num_expressions: int) -> bool:
    """Compare an exported model with its original, and print what is found.

    Args:
        ask: the original, on the CPU.
        config: its config, whose ``val_dataloader`` has the data.
        folder: the exported model, for onnxruntime.
        num_expressions: how many expressions of the data are asked.

    Returns:
        Whether tokens are equal, and for float32 logits and masks near enough.
    """
    model = Model(folder, threads=torch.get_num_threads())
    exact = model.info['precision'] == 'float32'
    checks = [_check_tokens(ask, model), _check_logits(ask, model) or not exact]
    agreement = _on_data(ask, model, config, num_expressions)
    if agreement is not None:
        before, after = 100 * agreement.ious.mean(0)
        print(f'masks: {agreement.apart:.4%} of the union apart on {agreement.number} expressions of val'
              f' (at most {MOST_MASKS:.1%} in float32)')
        print(f'mIoU: {before:.2f} with PyTorch, {after:.2f} exported ({after - before:+.2f})')
        checks.append(agreement.apart <= MOST_MASKS or not exact)
    _print_latency(ask, model)
    print('the exported model is ' + ('the same' if all(checks) else 'not the same') if exact else
          f'in {model.info["precision"]} the exported model differs as said')
    return all(checks)


def _check_tokens(ask: RefSegInferencer, model: Model) -> bool:
    strings = list(tokenizer_check_strings(10_000))
    expected = ask.model.text_encoder.tokenizer
    wrong = [text for text in strings if model.tokenizer.encode(text) != expected.encode(text)]
    print(f'tokens: {len(strings) - len(wrong)} of {len(strings)} odd strings the same'
          + (f'; not {wrong[0]!r}' if wrong else ''))
    return not wrong


def _check_logits(ask: RefSegInferencer, model: Model) -> bool:
    rng = np.random.default_rng(0)
    worst = 0.0
    for shape in ((200, 300, 3), (333, 111, 3), (64, 64, 3)):
        image = np.kron(rng.integers(0, 256, (shape[0] // 16 + 1, shape[1] // 16 + 1, 3), np.uint8),
                        np.ones((16, 16, 1), np.uint8))[:shape[0], :shape[1]]
        expected = torch.stack([found.logits for found in ask(image, list(_QUESTIONS))]).numpy()
        logits = np.stack([found.logits for found in model.answer(image, _QUESTIONS)])
        worst = max(worst, float(np.abs(logits - expected).max() / np.abs(expected).max()))
    print(f'logits: {worst:.1e} of the largest apart (at most {MOST_LOGITS:.0e} in float32)')
    return worst <= MOST_LOGITS


def _on_data(ask: RefSegInferencer, model: Model, config: str, number: int) -> Agreement | None:
    """Ask both about the same data; None where the config names none that is here."""
    try:
        samples = list(islice(_samples(config), number))
    except UserError as error:
        print(f'masks and mIoU: not compared, as the data of val are not here ({error})')
        return None
    unions = differences = 0
    ious = []
    for path, text, truth in track(samples, 'comparing', console=Console(stderr=True)):
        masks = _mask(ask(path, text)[0]), _mask(model.answer(path, text)[0])
        differences += int((masks[0] ^ masks[1]).sum())
        unions += int((masks[0] | masks[1]).sum())
        ious.append([(mask & truth).sum() / max((mask | truth).sum(), 1) for mask in masks])
    return Agreement(len(samples), differences / max(unions, 1), np.array(ious))


def _mask(found: RefSegResult | Answer) -> np.ndarray:
    return found.mask


def _samples(config: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Image, expression and mask of the config's val split."""
    settings: Any = read_config(config)
    with DefaultScope.overwrite_default_scope(settings.get('default_scope', 'mmrefseg')):
        data = DATASETS.build(settings.val_dataloader.dataset)
    # Spread, as neighbours ask about one image.
    for i in np.random.default_rng(0).permutation(len(data)):
        sample = data[int(i)]['data_samples']
        yield sample.img_path, sample.text, sample.gt_sem_seg.data[0].numpy().astype(bool)


def _print_latency(ask: RefSegInferencer, model: Model) -> None:
    """Both in turn, so that what else the machine does slows both."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    ours, prepared = ask.image(image), [model.prepare(image)]
    shared = model.encode(prepared)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        'an image and 1 expression': (lambda: ask(image, _QUESTIONS[0]), lambda: model.answer(image, _QUESTIONS[0])),
        f'an image and {len(_QUESTIONS)} expressions': (
            lambda: ask(image, list(_QUESTIONS)), lambda: model.answer(image, _QUESTIONS)),
    }
    if model.info['graph'] == 'split':
        pairs['1 more expression'] = (lambda: ours(_QUESTIONS[0]),
                                      lambda: model.ask(shared, prepared, [(0, _QUESTIONS[0])]))
    for what, runs in pairs.items():
        times = np.array([[_seconds(run) for run in runs] for _ in range(_RUNS)])[2:]
        before, after = 1000 * np.median(times, axis=0)
        note = '' if after <= MOST_TIME * before else f', slower than {MOST_TIME} times PyTorch'
        print(f'latency of {what}: {after:.0f} ms, PyTorch {before:.0f} ms{note} '
              f'({torch.get_num_threads()} threads)')


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
