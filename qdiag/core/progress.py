"""Progress is injected: the library counts, the CLI draws."""

from typing import Protocol


class Progress(Protocol):
    """Receives the stages of a long piece of work."""

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins, with `total` steps (None: unknown)."""

    def advance(self, steps: int = 1) -> None:
        """Steps of the current stage are done."""

    def finish(self) -> None:
        """The current stage is over."""


class NoProgress:
    """Says nothing."""

    def start(self, stage: str, total: int | None) -> None:
        del stage, total

    def advance(self, steps: int = 1) -> None:
        del steps

    def finish(self) -> None:
        return
