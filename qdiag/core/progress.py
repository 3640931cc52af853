"""Progress is injected: the library counts, the CLI draws."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


class Progress(Protocol):
    """Receives the passes of a long piece of work."""

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins, with `total` steps (None: unknown)."""

    def advance(self, steps: int = 1) -> None:
        """Steps of the current stage are done."""

    def finish(self) -> None:
        """The current stage is over."""


@runtime_checkable
class RunProgress(Progress, Protocol):
    """Also hears of the stages that the whole run consists of, each with any number of passes, and what they take."""

    def enter(self, stage: str) -> None:
        """A stage of the run begins, perhaps inside another one."""

    def leave(self) -> None:
        """The stage of the run that began last is over."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """What stages of the run will have taken at their end."""


class NoProgress:
    """Says nothing."""

    def start(self, stage: str, total: int | None) -> None:
        del stage, total

    def advance(self, steps: int = 1) -> None:
        del steps

    def finish(self) -> None:
        return
