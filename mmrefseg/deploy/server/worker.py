"""A process that holds a model and answers batches of questions; images are decoded here, away from the server."""
from __future__ import annotations

import base64
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np

from mmrefseg.apis.inference import ImageSource, RefSegInferencer, RefSegResult
from mmrefseg.apis.inference.router_weights import routing_weights
from mmrefseg.errors import UserError
from mmrefseg.utils.worker_processes import die_with

from .question_and_reply import Question, Reply

LEVELS = 200
"""Steps of the threshold that ``levels`` tell apart."""

_MOST_ANSWERED = 1 << 28  # pixels of all masks of a question, which take minutes beyond

_EDGES = (np.arange(LEVELS) / LEVELS).astype(np.float32)


def work(connection: Connection, load: Callable[[], RefSegInferencer], batch_size: int) -> None:
    """Load a model, say so, and answer until None comes or the server ends.

    Args:
        connection: to the server: first goes a text, empty or why the model cannot be loaded; then replies to each list
            of questions.
        load: gives the model.
        batch_size: expressions that the model sees at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with(os.getppid())
    try:
        ask = load()
    except UserError as error:
        connection.send(str(error))
        return
    connection.send('')
    while (questions := _receive(connection)) is not None:
        try:
            replies = answer_questions(ask, questions, batch_size)
        except UserError:  # of the device, such as no memory left: begin anew
            raise
        except Exception:
            logging.getLogger(__name__).exception('A batch of %d questions failed.', len(questions))
            replies = [Reply(broken=True)] * len(questions)
        connection.send(replies)


def _receive(connection: Connection) -> list[Question] | None:
    try:
        return connection.recv()
    except EOFError:
        return None


def answer_questions(ask: RefSegInferencer, questions: Sequence[Question], batch_size: int) -> list[Reply]:
    """Answer several questions, with the expressions of all in common batches.

    Args:
        ask: the model.
        questions: any number.
        batch_size: expressions that the model sees at once.
    """
    sources = [ImageSource(question.image) for question in questions]
    refused: dict[int, str] = {}
    results: dict[int, list[RefSegResult]] = {id(source): [] for source in sources}
    pairs = ((source, question.expressions) for source, question in zip(sources, questions, strict=True))
    for result in ask.stream(pairs, None, batch_size, progress=False,
                             on_error=lambda source, error: refused.update({id(source): str(error)})):
        results[id(result.image)].append(result)
    return [Reply(refused=refused[id(source)]) if id(source) in refused else
            _reply(ask, source, question, results[id(source)])
            for source, question in zip(sources, questions, strict=True)]


def _reply(ask: RefSegInferencer, source: ImageSource, question: Question, results: list[RefSegResult]) -> Reply:
    height, width = results[0].size
    if height * width * len(results) > _MOST_ANSWERED:
        return Reply(refused=f'{len(results)} masks of {width} x {height} pixels take too long; ask less at a time, or '
                             'send a smaller picture')
    return Reply(_content(ask, source, question, results))


def _content(ask: RefSegInferencer, source: ImageSource, question: Question,
             results: list[RefSegResult]) -> dict[str, Any]:
    if question.threshold is not None:
        results = [replace(result, threshold=question.threshold) for result in results]
    answers = [_answer(result, question.include) for result in results]
    if 'routing' in question.include:
        for answer, routing in zip(answers, routing_weights(ask, source, question.expressions), strict=True):
            answer['routing'] = routing
    return dict(size=list(results[0].size), threshold=results[0].threshold, answers=answers)


def _answer(result: RefSegResult, include: tuple[str, ...]) -> dict[str, Any]:
    answer: dict[str, Any] = dict(expression=result.expression, score=result.score,
                                  box=None if result.box is None else list(result.box))
    if result.confidence is not None:
        answer['confidence'] = result.confidence
    if 'rle' in include:
        answer['rle'] = result.rle
    if 'polygons' in include:
        answer['polygons'] = [outline.ravel().tolist() for outline in result.polygons]
    if 'png' in include:
        answer['png'] = _png(255 * result.mask.astype(np.uint8))
    if 'levels' in include:
        answer['levels'] = _png(levels_of(result.probability))
    return answer


def levels_of(probability: np.ndarray) -> np.ndarray:
    """Probabilities in steps that lose nothing for thresholds of k / 200: level > k exactly where p > k / 200.

    Args:
        probability: float32 (H, W), 0 to 1.

    Returns:
        uint8 (H, W), 0 to 200.
    """
    return np.searchsorted(_EDGES, probability.ravel(), side='left').astype(np.uint8).reshape(probability.shape)


def _png(grey: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode('.png', grey)[1].tobytes()).decode()
