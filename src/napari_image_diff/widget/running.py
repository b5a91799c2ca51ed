"""One computation off the window's thread: progress, a clean stop, and the answer on the thread that asked."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, Signal
from superqt.utils import create_worker

__all__ = ["Progress", "Run"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how much is done and how much there is to do; raises to stop the computation."""

_log = logging.getLogger(__name__)


class Run(QObject):
    """A call of ``function(progress)`` in a worker thread.

    Runs of one process take turns. Side by side they would only share the processors, and superqt's workers replace
    ``warnings.showwarning`` while they run: two at once would not put back the right one.
    """

    progressed = Signal(int, int)
    returned = Signal(object)
    failed = Signal(str)
    _reported = Signal(int, int)

    # Holds what Qt alone refers to, from start until the thread has let go of it
    _all: set[Run] = set()

    def __init__(self, function: Callable[[Progress], Any]) -> None:
        super().__init__()
        self._function = function
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
        self.blockSignals(True)
        self._worker.quit()

    def _work(self) -> Any:
        self._report(0, 0)
        return self._function(self._report)

    def _report(self, done: int, total: int) -> None:
        if self._worker.abort_requested:
            raise _Cancelled
        self._reported.emit(done, total)

    def _return(self, result: Any) -> None:
        self.returned.emit(result)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, _Cancelled):
            return
        if isinstance(error, (TypeError, ValueError)):
            self.failed.emit(str(error))
            return
        _log.error("A comparison failed", exc_info=error)
        self.failed.emit(f"{type(error).__name__}: {error}")

    def _warn(self, warning: tuple[Any, ...]) -> None:
        message, category, file, line, *_ = warning
        warnings.warn_explicit(message, category, file, line)

    def _finish(self) -> None:
        self._all.discard(self)


class _Cancelled(Exception):
    """Raised where progress is reported, to leave a computation that nobody waits for."""


@functools.cache
def _one_thread() -> QThreadPool:
    pool = QThreadPool(QCoreApplication.instance())
    pool.setMaxThreadCount(1)
    return pool
