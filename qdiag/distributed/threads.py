"""Threads of this process that take the batches of a pass by turns."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class _Turns(Generic[T, R]):
    """What is given, what is done, and what failed, seen by one thread at a time."""

    def __init__(self, given: Iterator[T], work: Callable[[int, T], R], put: Callable[[R], None]) -> None:
        self._given, self._work, self._put = given, work, put
        self._reading, self._telling = threading.Lock(), threading.Lock()
        self._taken = self._handed_on = 0
        self._done: dict[int, R] = {}
        self._failed: dict[int, BaseException] = {}

    def run(self) -> None:
        """Works until nothing is left, or something failed."""
        while (taken := self._take()) is not None:
            number, one = taken
            try:
                self._finish(number, self._work(number, one))
            except BaseException as error:  # raised again where all threads are over
                self.fail(number, error)

    def _take(self) -> tuple[int, T] | None:
        with self._reading:
            if self._failed:
                return None
            number = self._taken
            try:
                one = next(self._given)
            except StopIteration:
                return None
            except BaseException as error:
                self.fail(number, error)
                return None
            self._taken += 1
            return number, one

    def _finish(self, number: int, result: R) -> None:
        """Hands on what is done, in the order in which it was given."""
        with self._telling:
            self._done[number] = result
            while self._handed_on in self._done:
                self._put(self._done.pop(self._handed_on))
                self._handed_on += 1

    def fail(self, number: int, error: BaseException) -> None:
        """No thread takes anything any more; whoever interrupts the run comes before any other error."""
        self._failed[number if isinstance(error, Exception) else -1] = error

    @property
    def error(self) -> BaseException | None:
        """That of the first of all that failed."""
        return self._failed[min(self._failed)] if self._failed else None


def by_turns(given: Iterator[T], work: Callable[[int, T], R], put: Callable[[R], None], threads: int) -> None:
    """Works on all that is given, in several threads, of which this one is the first.

    What is given is read by one thread at a time. Results are handed on one at a time too, in the order of what they
    were made of, so that nothing depends on which thread was faster. The threads share those that torch uses inside
    its operations.

    Args:
        work: takes the number of something, and the thing. put: takes what became of it.

    Raises:
        Exception: the first one of `work` or `put`, in the order of what is given. Nothing is begun after it.
    """
    turns = _Turns(given, work, put)
    with shared_out(threads):
        others = [threading.Thread(target=turns.run, name=f"qdiag-{i}", daemon=True) for i in range(1, threads)]
        for thread in others:
            thread.start()
        turns.run()
        for thread in others:
            _wait_for(thread, turns)
    if turns.error is not None:
        raise turns.error


def _wait_for(thread: threading.Thread, turns: _Turns[T, R]) -> None:
    """Until a thread is over; whoever interrupts this ends it at its next turn."""
    try:
        thread.join()
    except BaseException as error:
        turns.fail(-1, error)
        thread.join()


@contextmanager
def shared_out(threads: int) -> Iterator[None]:
    """Threads that start inside use their share of torch's, and so does this one."""
    all_of_them = torch.get_num_threads()
    torch.set_num_threads(max(all_of_them // threads, 1))
    try:
        yield
    finally:
        torch.set_num_threads(all_of_them)
