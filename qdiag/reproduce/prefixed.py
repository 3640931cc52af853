"""Progress that says which part of an experiment a stage belongs to."""

from dataclasses import dataclass

from qdiag.core.progress import Progress


@dataclass(frozen=True)
class Prefixed:
    """Progress whose stages have a few words before their names."""

    inner: Progress
    words: str

    def start(self, stage: str, total: int | None) -> None:
        self.inner.start(f"{self.words}: {stage}", total)

    def advance(self, steps: int = 1) -> None:
        self.inner.advance(steps)

    def finish(self) -> None:
        self.inner.finish()
