"""Batches of consecutive steps for one data-parallel rank, made ahead by a background thread.

Step s (from 0) uses samples s * global_size ... (s + 1) * global_size - 1; rank d of n takes the d-th
contiguous block of them. numpy releases the interpreter lock in its long operations, so one thread keeps up
with a device.
"""

import queue
import threading
from collections.abc import Iterator

from .seam import Arrays, Data

_POLL_SECONDS = 0.1


class Loader:
    """Iterator over (step, batch) from a step on, without end. batch: the rank's block, (global_size / n, ...).

    prefetch: steps kept ready; 0 makes each batch when it is asked for. An error while making a batch is
    raised by the `next` that would have returned it. `close` stops the thread; also a context manager.
    """

    def __init__(
        self,
        data: Data,
        global_size: int,
        rank: int,
        world: int,
        first_step: int = 0,
        prefetch: int = 4,
    ) -> None:
        if global_size % world or not 0 <= rank < world:
            raise ValueError(f"global batch {global_size} cannot be split for rank {rank} of {world}")
        self._data, self._global_size = data, global_size
        self._block = global_size // world
        self._offset = rank * self._block
        self._next = first_step
        self._closed = threading.Event()
        self._ready: queue.Queue[Arrays | BaseException] = queue.Queue(max(prefetch, 1))
        self._thread: threading.Thread | None = None
        if prefetch:
            self._thread = threading.Thread(target=self._fill, args=(first_step,), name="data", daemon=True)
            self._thread.start()

    def samples(self, step: int) -> range:
        """Global sample numbers of this rank in a step."""
        begin = step * self._global_size + self._offset
        return range(begin, begin + self._block)

    def __iter__(self) -> Iterator[tuple[int, Arrays]]:
        return self

    def __next__(self) -> tuple[int, Arrays]:
        if self._closed.is_set():
            raise StopIteration
        item = self._ready.get() if self._thread else self._data.batch(self.samples(self._next))
        if isinstance(item, BaseException):
            self.close()
            raise item
        step, self._next = self._next, self._next + 1
        return step, item

    def close(self) -> None:
        """Stop the thread; later calls of next raise StopIteration. May be called twice."""
        self._closed.set()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _fill(self, step: int) -> None:
        while not self._closed.is_set():
            item: Arrays | BaseException
            try:
                item = self._data.batch(self.samples(step))
            except BaseException as error:
                item = error
            self._put(item)
            if isinstance(item, BaseException):
                return
            step += 1

    def _put(self, item: Arrays | BaseException) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                pass
