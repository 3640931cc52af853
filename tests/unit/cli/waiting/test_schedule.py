"""How far a run is: its stages add up to it, and what is left follows from what was expected and what is counted."""

import pytest

from qdiag.cli.waiting.schedule import Schedule


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_every_second_belongs_to_one_stage(clock: Clock) -> None:
    schedule = Schedule(98.0, clock)
    clock.now_s += 1.0
    for stage, seconds in (("capture", 3.0), ("rank", 5.0), ("capture", 0.5)):
        schedule.enter(stage)
        clock.now_s += seconds
        schedule.enter("calibrate")  # inside: its time is that of the stage around it
        clock.now_s += 1.0
        schedule.leave()
        schedule.leave()
        clock.now_s += 0.25
    assert schedule.times() == {"start of the program": 3.0, "capture": 5.5, "preparing": 0.75, "rank": 6.0}
    assert sum(schedule.times().values()) == schedule.gone_s == 15.25


def test_nothing_is_said_of_what_is_left_before_anything_is_expected(clock: Clock) -> None:
    schedule = Schedule(clock=clock)
    schedule.enter("capture")
    clock.now_s += 2.0
    assert schedule.left_s() is schedule.share() is None
    assert schedule.words() == "capture"


def test_what_is_left_is_what_was_expected_without_what_is_over(clock: Clock) -> None:
    schedule = Schedule(clock=clock)
    schedule.expect({"capture": 2.0, "simulate": 6.0, "report": 2.0})
    assert (schedule.left_s(), schedule.share()) == (10.0, 0.0)
    schedule.enter("capture")
    clock.now_s += 1.0
    assert (schedule.left_s(), schedule.share()) == (9.0, 0.1)
    schedule.leave()  # sooner than expected
    assert (schedule.left_s(), schedule.share()) == (8.0, pytest.approx(1 / 9))
    schedule.expect({"simulate": 1.0})
    assert (schedule.left_s(), schedule.share()) == (3.0, 0.25)
    schedule.expect({"simulate": 8.0})
    assert (schedule.left_s(), schedule.share()) == (10.0, 0.25)  # a bar does not go back


def test_a_stage_that_takes_longer_goes_on_by_what_is_counted(clock: Clock) -> None:
    schedule = Schedule(clock=clock)
    schedule.expect({"rank": 4.0})
    schedule.enter("rank")
    schedule.begin_pass("repairs 3/9", 100)
    clock.now_s += 3.0
    schedule.advance(20)
    assert schedule.left_s() == 12.0  # as the count has it, although one second was expected
    assert schedule.words() == "rank, repairs 3/9, 20 of 100"
    schedule.advance(80)
    assert schedule.left_s() == 1.0
    schedule.end_pass()
    clock.now_s += 3.0
    assert schedule.left_s() == pytest.approx(0.6)  # a tenth of what it took already
    schedule.leave()
    assert schedule.left_s() == 0.0
    assert schedule.words() == "preparing"


def test_a_pass_with_the_name_of_its_stage_is_named_once(clock: Clock) -> None:
    schedule = Schedule(clock=clock)
    assert schedule.words() == "start of the program"
    schedule.enter("train")
    schedule.begin_pass("train, epoch 2 of 3", 64)
    schedule.advance(32)
    assert schedule.words() == "train, epoch 2 of 3, 32 of 64"
    schedule.begin_pass("capture", None)
    assert schedule.words() == "train, capture"
