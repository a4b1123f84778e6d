"""One thread that works while there is something to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Background:
    """A thread that is there only while it has work, and leaves a processor to others unless somebody waits for it.

    Args:
        work: everything there is to do; it asks `goes_on` between its steps, and says `ended` before it returns.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._name = name
        self._thread: threading.Thread | None = None
        self._waiting: set[object] = set()  # one for each call that waits
        self._stopped = False

    @property
    def is_running(self) -> bool:
        """Whether it works."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Work, unless it does or must not any more; to be called and ended under the same lock."""
        if not self._stopped and not self.is_running:
            self._thread = threading.Thread(target=self._work, name=self._name)
            self._thread.start()

    def ended(self) -> None:
        """Nothing is left to do: from here on `start` starts another thread."""
        self._thread = None

    def goes_on(self) -> bool:
        """False when the process is about to end, which would wait for the thread."""
        import faiss

        if threading.current_thread() is self._thread:  # FAISS's setting is of this thread alone
            processors = os.cpu_count() or 1
            faiss.omp_set_num_threads(processors if self._waiting else max(1, processors - 1))
        return not self._stopped and threading.main_thread().is_alive()

    def wait(self) -> None:
        """Wait until it has ended."""
        with self.awaited():
            while (thread := self._thread) is not None and thread.is_alive():
                thread.join()

    def stop(self) -> None:
        """Work no more, as soon as it asks."""
        self._stopped = True
        self.wait()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """While somebody waits for it, it may use every processor."""
        waiting = object()
        self._waiting.add(waiting)
        try:
            yield
        finally:
            self._waiting.remove(waiting)
