"""Processes that answer, each looked after by a thread: it brings batches, and starts the process again if it dies."""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from mmrefseg.apis.inference import RefSegInferencer
from mmrefseg.errors import UserError

from .prometheus_metrics import ServerMetrics
from .question_and_reply import Question, Reply
from .worker import work

_LOOK = 0.2  # seconds between looks at an idle process
_LONGEST_PAUSE = 30.0  # seconds before a process that cannot start is tried again
_TRIES = 2  # a process that is killed from outside is not the question's fault


class BusyError(Exception):
    """There are as many questions as may wait."""


class _Entry:
    """A question that waits; forgotten as soon as nobody waits for its answer, as its image may be large."""

    def __init__(self, question: Question) -> None:
        self.question, self.future = question, Future[Reply]()
        self.future.add_done_callback(self._forget)

    def _forget(self, _: Future[Reply]) -> None:
        del self.question


class WorkerPool:
    """Answers questions in processes of their own; use it as a context.

    Args:
        load: gives the model; called in each process.
        metrics: counts batches and restarts.
        workers: number of processes. Default 1.
        batch_size: expressions that a model sees at once. Default 8.
        waiting: questions that may wait. Default 64.
        seconds: how long a batch may take before its process is given up. Default 60.
        loading_seconds: how long a model may take to load. Default 600.
        start_method: of :mod:`multiprocessing`. Default ``'spawn'``, which GPUs need.

    Raises:
        UserError: the model cannot be loaded.
    """

    def __init__(self, load: Callable[[], RefSegInferencer], metrics: ServerMetrics, workers: int = 1,
                 batch_size: int = 8, waiting: int = 64, seconds: float = 60.0, loading_seconds: float = 600.0,
                 start_method: str = 'spawn') -> None:
        self._arguments = load, batch_size
        self._metrics, self._batch_size = metrics, batch_size
        self._seconds, self._loading_seconds = seconds, loading_seconds
        self._context: Any = get_context(start_method)
        self._entries: queue.Queue[_Entry] = queue.Queue(waiting)
        self._closing = threading.Event()
        self._workers = [_Worker(self._context, self._arguments, loading_seconds) for _ in range(workers)]
        self._threads = [threading.Thread(target=self._look_after, args=(worker, ), daemon=True)
                         for worker in self._workers]

    def __enter__(self) -> WorkerPool:
        for thread in self._threads:
            thread.start()
        try:
            self._wait_for_models()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_for_models(self) -> None:
        for worker in self._workers:
            worker.has_tried.wait()
            if worker.trouble:
                raise UserError(worker.trouble)

    @property
    def ready(self) -> int:
        """How many processes can answer."""
        return sum(worker.is_ready for worker in self._workers)

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that run."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    @property
    def waiting(self) -> int:
        """How many questions no process has taken yet."""
        return self._entries.qsize()

    def submit(self, question: Question) -> Future:
        """Ask; the future gives a :class:`Reply`, and may be cancelled.

        Args:
            question: the question.

        Raises:
            BusyError: too many wait already, or the server stops.
        """
        entry = _Entry(question)
        if self._closing.is_set():
            raise BusyError
        try:
            self._entries.put_nowait(entry)
        except queue.Full:
            raise BusyError from None
        return entry.future

    def close(self) -> None:
        """Let the processes finish what they have, refuse the rest, and end them."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for worker in self._workers:
            worker.stop()
        left: list[_Entry] = []
        while not self._entries.empty():
            self._claim(left, self._entries.get_nowait())
        for entry in left:
            entry.future.set_result(Reply(broken=True))

    def _look_after(self, worker: _Worker) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            if not worker.start(self._closing):
                pause = min(max(2 * pause, 1.0), _LONGEST_PAUSE)
                continue
            pause = 0.0
            if entries := self._take():
                self._answer(worker, entries)
            if not worker.is_running():
                self._metrics.restarts.inc()
                worker.stop()

    def _take(self) -> list[_Entry]:
        """What waits, as far as it fits into a batch; empty if there is nothing for a while."""
        entries: list[_Entry] = []
        with suppress(queue.Empty):
            self._claim(entries, self._entries.get(timeout=_LOOK))
            while sum(len(entry.question.expressions) for entry in entries) < self._batch_size:
                self._claim(entries, self._entries.get_nowait())
        self._metrics.waiting.set(self._entries.qsize())
        return entries

    @staticmethod
    def _claim(entries: list[_Entry], entry: _Entry) -> None:
        """Take one if anybody waits for it; from then on it cannot be cancelled."""
        if entry.future.set_running_or_notify_cancel():
            entries.append(entry)

    def _answer(self, worker: _Worker, entries: list[_Entry]) -> None:
        """Answer a batch; if that fails each question alone, so that one that kills takes no other with it."""
        self._metrics.batches.observe(len(entries))
        for _ in range(_TRIES if len(entries) == 1 else 1):
            replies = self._ask(worker, entries)
            if replies is not None and not all(reply.broken for reply in replies):
                for entry, reply in zip(entries, replies, strict=True):
                    entry.future.set_result(reply)
                return
        if len(entries) == 1:
            entries[0].future.set_result(Reply(broken=True))
        else:
            for entry in entries:
                self._answer(worker, [entry])

    def _ask(self, worker: _Worker, entries: list[_Entry]) -> list[Reply] | None:
        """The replies; None if the process died or took too long, which ends it."""
        if not worker.is_running():
            self._metrics.restarts.inc()
            if not worker.start(self._closing):
                return None
        return worker.ask([entry.question for entry in entries], self._seconds)


class _Worker:
    """One process and the connection to it."""

    def __init__(self, context: Any, arguments: tuple[Callable[[], RefSegInferencer], int],
                 loading_seconds: float) -> None:
        self._context, self._arguments, self._loading_seconds = context, arguments, loading_seconds
        self.process: Any = None
        self._connection: Connection | None = None
        self.has_tried, self.trouble, self.is_ready = threading.Event(), '', False

    def is_running(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def start(self, closing: threading.Event) -> bool:
        """Start the process if it doesn't run, and wait for its model; whether it is there."""
        if self.is_running():
            return True
        self.stop()
        self._connection, theirs = self._context.Pipe()
        self.process = self._context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        self.process.start()
        theirs.close()
        self.trouble = self._first_word(closing)
        self.is_ready = not self.trouble
        if self.trouble:
            self.stop()
        self.has_tried.set()
        return self.is_ready

    def _first_word(self, closing: threading.Event) -> str:
        deadline = monotonic() + self._loading_seconds
        while monotonic() < deadline and not closing.is_set():
            with suppress(EOFError, OSError):
                if self._connection.poll(_LOOK):
                    return self._connection.recv()
            if not self.process.is_alive():
                return 'the process that loads the model died; its own output says why'
        return f'the model was not loaded within {self._loading_seconds:.0f} seconds'

    def ask(self, questions: list[Question], seconds: float) -> list[Reply] | None:
        with suppress(EOFError, OSError):
            self._connection.send(questions)
            if self._connection.poll(seconds):
                return self._connection.recv()
        self.stop()
        return None

    def stop(self) -> None:
        """End the process; one that is idle by asking it to, any other by force."""
        self.is_ready = False
        if self.process is None:
            return
        with suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process = None
