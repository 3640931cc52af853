"""What a published experiment is here: variants, figures, what is expected, and how one seed of it is run."""

from collections.abc import Callable
from dataclasses import dataclass

from qdiag.core.reproductions.drawings import Drawing
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place
from qdiag.reproduce.lab import Lab


@dataclass(frozen=True)
class PaperExperiment:
    """A small version of a published experiment.

    Attributes:
        name: as in `qdiag reproduce NAME`.
        rows: keys of the variants. columns: keys of the figures; words are in `qdiag.reading.words.reproductions`.
        run_seed: trains and measures everything once, and writes it down in the lab.
        reasons: of an expectation that does not hold, as far as the results tell.
        level: where the accuracy of the float network stands; where that is at the level of chance, nothing is decided.
        digit_epochs: unit of the trainings on the digits that come with the package.
        epochs_at_most: what more time does not go beyond.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    drawings: tuple[Drawing, ...]
    run_seed: Callable[[Lab], None]
    reasons: Callable[[Reproduction, Judged], tuple[Reason, ...]]
    level: Place | None = None
    digit_epochs: int = 30
    epochs_at_most: int = 200
