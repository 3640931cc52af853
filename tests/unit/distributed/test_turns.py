"""Threads that take things by turns: order, errors, and the settings of torch that they get."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from qdiag.distributed.threads import by_turns
from qdiag.simulate.surroundings import engine_arithmetic


def slow_first(number: int, given: float) -> float:
    """The first thing is done last, and every even one takes longer than the next."""
    time.sleep(0.2 if number == 0 else 0.02 * (1 - number % 2))
    return 10.0 * given


def test_results_come_in_the_order_of_what_is_given_whoever_was_faster() -> None:
    done: list[float] = []
    by_turns(iter(range(20)), slow_first, done.append, 3)
    assert done == [10.0 * i for i in range(20)]


def test_nothing_given_is_nothing_done() -> None:
    done: list[float] = []
    by_turns(iter(()), slow_first, done.append, 2)
    assert done == []


def test_one_thread_at_a_time_reads() -> None:
    inside = threading.Lock()

    def given() -> Iterator[int]:
        for i in range(30):
            assert inside.acquire(blocking=False)
            time.sleep(0.001)
            inside.release()
            yield i

    done: list[float] = []
    by_turns(given(), lambda _, one: float(one), done.append, 4)
    assert done == [float(i) for i in range(30)]


def test_the_first_error_in_the_order_of_what_is_given_is_raised() -> None:
    """That of number 4 comes much earlier by the clock; everything before the first one was handed on."""
    begun: list[int] = []

    def work(number: int, given: int) -> int:
        begun.append(number)
        if number == 4:
            raise ValueError("four")
        if number == 3:
            time.sleep(0.2)
            raise ValueError("three")
        return given

    done: list[int] = []
    with pytest.raises(ValueError, match="three"):
        by_turns(iter(range(100)), work, done.append, 2)
    assert done == [0, 1, 2] and max(begun) <= 5


def test_an_error_of_reading_and_one_of_handing_on_are_raised() -> None:
    def given() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    done: list[int] = []
    with pytest.raises(OSError, match="no more"):
        by_turns(given(), lambda _, one: one, done.append, 2)
    assert done == [0, 1, 2]

    def refuse(_: int) -> None:
        raise KeyError("full")

    with pytest.raises(KeyError, match="full"):
        by_turns(iter(range(5)), lambda _, one: one, refuse, 2)


def test_whoever_interrupts_the_run_ends_it() -> None:
    main = threading.main_thread()

    def work(number: int, given: int) -> int:
        if threading.current_thread() is main:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return given

    with pytest.raises(KeyboardInterrupt):
        by_turns(iter(range(10**6)), work, lambda _: None, 2)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("qdiag-")] == []


def test_threads_share_those_of_torch_and_flush_denormal_numbers() -> None:
    before = torch.get_num_threads()
    seen: set[tuple[str, int, float]] = set()

    def look(_: int, given: int) -> int:
        time.sleep(0.02)
        value = float(torch.tensor(1e-38) * 0.01)
        seen.add((threading.current_thread().name, torch.get_num_threads(), value))
        return given

    try:
        torch.set_num_threads(4)
        with engine_arithmetic():
            by_turns(iter(range(10)), look, lambda _: None, 2)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 2 and {(count, value) for _, count, value in seen} == {(2, 0.0)}
