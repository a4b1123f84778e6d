"""A worker thread that exists only while there is work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class WorkerThread:
    """A thread that is started on demand, and leaves one processor free unless somebody is waiting for it.

    Args:
        work: does everything that is pending; it checks `should_continue` between steps, and calls `finished` before
            it returns.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._name = name
        self._thread: threading.Thread | None = None
        self._waiting: set[object] = set()  # one entry for each waiting call
        self._stopped = False

    @property
    def is_running(self) -> bool:
        """Whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread unless it is running or was stopped; call this and `finished` under the same lock."""
        if not self._stopped and not self.is_running:
            self._thread = threading.Thread(target=self._work, name=self._name)
            self._thread.start()

    def finished(self) -> None:
        """Declare that no work is left: the next `start` starts a new thread."""
        self._thread = None

    def should_continue(self) -> bool:
        """False once the worker was stopped or the process is exiting, which would wait for the thread."""
        import faiss

        if threading.current_thread() is self._thread:  # FAISS's setting applies to this thread alone
            processors = os.cpu_count() or 1
            faiss.omp_set_num_threads(processors if self._waiting else max(1, processors - 1))
        return not self._stopped and threading.main_thread().is_alive()

    def wait(self) -> None:
        """Wait until the thread has finished."""
        with self.awaited():
            while (thread := self._thread) is not None and thread.is_alive():
                thread.join()

    def stop(self) -> None:
        """Stop at the next check of `should_continue`, and do not start again."""
        self._stopped = True
        self.wait()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Let the thread use every processor while somebody waits for it."""
        waiting = object()
        self._waiting.add(waiting)
        try:
            yield
        finally:
            self._waiting.remove(waiting)
