"""The result of `qdiag reproduce`: a small version of a published experiment beside the published figures."""

from dataclasses import dataclass, field

from qdiag.core.measures.measurement import SCHEMA_VERSION
from qdiag.core.reproductions.drawings import Drawing
from qdiag.core.reproductions.expectations import Judged, mean_of, spread_of
from qdiag.core.reproductions.published import published_at
from qdiag.core.reproductions.seeds import Place, SeedResult


@dataclass(frozen=True, slots=True)
class Images:
    """What was trained and measured on.

    Attributes:
        source: where they come from. is_given: by the user, as the file of this name.
        shape: (channels, height, width) as the networks read them.
        train_count, judge_count, test_count: of each seed: what is trained on, what chooses the best epoch, and what is
            measured and takes part in nothing else. calibration_count: of the training images.
        is_mirrored: training images are mirrored at random.
        resized: their shorter side, where they were resized; None where they are as they are stored.
    """

    source: str
    is_given: bool
    digest: str
    shape: tuple[int, int, int]
    class_count: int
    train_count: int
    judge_count: int
    calibration_count: int
    test_count: int
    is_mirrored: bool
    resized: int | None = None

    @property
    def count(self) -> int:
        """All that are used."""
        return self.train_count + self.judge_count + self.test_count


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How it was run.

    Attributes:
        epochs: unit of the lengths of all trainings.
        are_epochs_chosen: by the time that was allowed, from the time that a few steps took.
        minutes: that were allowed; None without a limit.
        seed_count: that were asked for; fewer are finished where the time did not suffice.
        width: factor on the channels of the networks.
        machine: processor, as the operating system has it. threads: of torch.
        seconds: of everything, the seeds of an earlier run aside.
    """

    images: Images
    epochs: int
    are_epochs_chosen: bool
    minutes: float | None
    seed_count: int
    width: float
    device: str
    machine: str
    threads: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one variant over the seeds, and what was published; None where nothing was."""

    place: Place
    values: tuple[float, ...]
    published: float | None = None

    @property
    def mean(self) -> float:
        return mean_of(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; NaN with fewer than two."""
        return spread_of(self.values)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Everything `qdiag reproduce` prints.

    Attributes:
        experiment: its name. rows, columns: keys of its table, in their order.
    """

    experiment: str
    run: RunInfo
    seeds: tuple[SeedResult, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    judged: tuple[Judged, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def cell(self, row: str, column: str) -> Cell:
        """What was measured and published at a place; without values where it was not measured."""
        place = Place(row, column)
        values = [value for seed in self.seeds if (value := seed.value(place)) is not None]
        return Cell(place, tuple(values), published_at(self.experiment, place))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All of the table that hold something."""
        found = [self.cell(row, column) for row in self.rows for column in self.columns]
        return tuple(cell for cell in found if cell.values or cell.published is not None)
