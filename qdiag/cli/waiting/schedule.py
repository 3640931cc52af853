"""How far a run is: what its stages took, and what those to come are expected to take."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

START, OTHER = "start of the program", "preparing"
"""Time before the first stage, and between stages."""
_OVERTIME = 0.1
"""Of what a stage took already: what is left of one that takes longer than was expected."""


@dataclass
class _Pass:
    name: str
    total: int | None
    started_s: float
    done: int = 0


class Schedule:
    """Every second of a run belongs to one stage, or to none of them, so that the stages add up to the whole.

    Time of a stage inside another one belongs to the outer one.

    Args:
        started_s: when the run began, on the same clock; now, unless it is given.
        clock: seconds, from anywhere.
    """

    def __init__(self, started_s: float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started_s = self._charged_s = clock() if started_s is None else started_s
        self._spent: dict[str, float] = {}
        self._stage: str | None = None
        self._depth = 0
        self._over: set[str] = set()
        self._expected: dict[str, float] = {}
        self._pass: _Pass | None = None
        self._share = 0.0

    def enter(self, stage: str) -> None:
        """A stage begins."""
        self._depth += 1
        if self._depth == 1:
            self._charge()
            self._stage = stage
            self._over.discard(stage)

    def leave(self) -> None:
        """The stage that began last is over."""
        self._depth -= 1
        if not self._depth and self._stage is not None:
            self._charge()
            self._over.add(self._stage)
            self._stage = None

    def expect(self, seconds: Mapping[str, float]) -> None:
        """What stages take in this run, each from its beginning to its end; the last word on a stage counts."""
        self._expected = {**self._expected, **seconds}  # never changed in place: another thread may be looking

    def begin_pass(self, name: str, total: int | None) -> None:
        """A pass begins, with so many steps."""
        self._pass = _Pass(name, total, self._clock())

    def advance(self, steps: int = 1) -> None:
        """Steps of the pass are done."""
        if self._pass is not None:
            self._pass.done += steps

    def end_pass(self) -> None:
        """The pass is over."""
        self._pass = None

    @property
    def gone_s(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._started_s

    def times(self) -> dict[str, float]:
        """Seconds of each stage until now, in the order in which they began; together they are `gone_s`."""
        self._charge()
        return dict(self._spent)

    def left_s(self) -> float | None:
        """Seconds until the end; None as long as nothing is expected."""
        expected, current = self._expected, self._stage
        if not expected:
            return None
        waiting = [stage for stage in expected if stage not in self._over and stage != current]
        left = sum(max(expected[stage] - self._spent.get(stage, 0.0), 0.0) for stage in waiting)
        return left + (self._left_of(current) if current is not None else 0.0)

    def share(self) -> float | None:
        """Of the run that is done, 0 to 1, which never falls; None as long as nothing is expected."""
        left = self.left_s()
        if left is None:
            return None
        gone = self.gone_s
        self._share = max(self._share, gone / max(gone + left, 1e-9))
        return self._share

    def words(self) -> str:
        """What is done now: `rank, repairs 13/34, 240 of 500`."""
        stage, now = self._current(), self._pass
        if now is None:
            return stage
        name = now.name if self._stage is None or now.name.startswith(stage) else f"{stage}, {now.name}"
        return name if now.total is None else f"{name}, {now.done} of {now.total}"

    def _current(self) -> str:
        return self._stage or (OTHER if self._over else START)

    def _charge(self) -> None:
        now = self._clock()
        stage = self._current()
        self._spent[stage] = self._spent.get(stage, 0.0) + now - self._charged_s
        self._charged_s = now

    def _left_of(self, stage: str) -> float:
        spent = self._spent.get(stage, 0.0) + self._clock() - self._charged_s
        counted = self._left_of_pass()
        if stage not in self._expected:
            return counted
        planned = self._expected[stage] - spent
        return max(planned if planned > 0.0 else _OVERTIME * spent, counted)

    def _left_of_pass(self) -> float:
        now = self._pass
        if now is None or not now.total or not now.done:
            return 0.0
        return (self._clock() - now.started_s) * max(now.total / now.done - 1.0, 0.0)
