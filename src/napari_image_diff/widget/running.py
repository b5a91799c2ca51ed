"""One computation off the window's thread: progress, a clean stop, and the answer on the thread that asked."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QThreadPool, Signal
from superqt.utils import create_worker

from ..reading import explain

__all__ = ["Progress", "Run", "Runs"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how much is done and how much there is to do; raises to stop the computation."""

# Each report repaints the window, which takes some 10 ms where there is no graphics card.
REPORT_INTERVAL = 0.1

# How far a computation stands back behind the window where they share a processor, in steps of ``nice``
NICENESS = 10

_log = logging.getLogger(__name__)


class Run(QObject):
    """A call of ``function(progress)`` in a worker thread.

    Runs of one process take turns. Side by side they would only share the processors, and superqt's workers replace
    ``warnings.showwarning`` while they run: two at once would not put back the right one.

    A run stands back behind the window unless it is not to: what a busy window waits for would never come.
    """

    progressed = Signal(int, int)
    returned = Signal(object)
    failed = Signal(str)
    _reported = Signal(int, int)

    # Holds what Qt alone refers to, from start until the thread has let go of it
    _all: ClassVar[set[Run]] = set()

    def __init__(self, function: Callable[[Progress], Any], *, stand_back: bool = True) -> None:
        super().__init__()
        self._function = function
        self._stand_back = stand_back
        self._next_report = time.monotonic() + REPORT_INTERVAL
        self._worker = create_worker(
            self._work,
            _start_thread=False,
            _connect={
                "returned": self._return,
                "errored": self._fail,
                "warned": self._warn,
                "finished": self._finish,
            },
        )
        # By way of a signal of this object, so that reports still on their way are blocked after a cancel
        self._reported.connect(self.progressed)

    def start(self) -> None:
        """Begin as soon as earlier runs are through."""
        self._all.add(self)
        _one_thread().start(self._worker)

    @classmethod
    def any_under_way(cls) -> bool:
        """Whether any run of this process is not through."""
        return bool(cls._all)

    def cancel(self) -> None:
        """Stop at the next report of progress; no signal comes after this."""
        # At exit Qt may have deleted its half of either already
        if isalive(self):
            self.blockSignals(True)
        if isalive(self._worker):
            self._worker.quit()

    def _work(self) -> Any:
        if self._stand_back:
            _give_way()
        self._leave_if_cancelled()
        return self._function(self._report)

    def _leave_if_cancelled(self) -> None:
        if self._worker.abort_requested:
            raise _Cancelled

    def _report(self, done: int, total: int) -> None:
        self._leave_if_cancelled()
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            self._reported.emit(done, total)

    def _return(self, result: Any) -> None:
        self.returned.emit(result)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, _Cancelled):
            return
        if not isinstance(error, (OSError, TypeError, ValueError)):
            _log.error("A run failed", exc_info=error)
        self.failed.emit(explain(error))

    def _warn(self, warning: tuple[Any, ...]) -> None:
        # Not warned again: while a worker runs, superqt sends every warning of the process here
        message, category, *_ = warning
        _log.warning("%s: %s", category.__name__, message)

    def _finish(self) -> None:
        self._all.discard(self)


class Runs(dict[str, Run]):
    """What is under way for somebody, of each kind one."""

    def begin(
        self,
        kind: str,
        function: Callable[[Progress], Any],
        take: Callable[[Any], None],
        fail: Callable[[str], None],
        *,
        stand_back: bool = True,
    ) -> Run:
        """Start a run, which hands its answer to `take` or says to `fail` what went wrong."""
        run = self[kind] = Run(function, stand_back=stand_back)
        run.returned.connect(take)
        run.failed.connect(fail)
        run.start()
        return run

    def cancel(self, *kinds: str) -> None:
        """Give up runs of these kinds, and forget them; without a kind all."""
        for kind in kinds or tuple(self):
            if kind in self:
                self.pop(kind).cancel()


class _Cancelled(Exception):
    """Raised where progress is reported, to leave a computation that nobody waits for."""


def _give_way() -> None:
    """Let the window go first. Linux has a niceness for each thread, and the engine's threads inherit this one's."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@functools.cache
def _one_thread() -> QThreadPool:
    pool = QThreadPool()
    pool.setMaxThreadCount(1)
    # A thread that has given way cannot come forward again: the next run has a new one
    pool.setExpiryTimeout(0)
    # A thread that still runs Python while the interpreter goes down crashes it
    atexit.register(_end_all, pool)
    return pool


def _end_all(pool: QThreadPool) -> None:
    for run in list(Run._all):
        run.cancel()
    pool.waitForDone()
