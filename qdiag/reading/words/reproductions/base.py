"""What the words of an experiment are: a title, and a text for every key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qdiag.reading.words.numbers import count_noun

Figures = Mapping[str, float]


@dataclass(frozen=True)
class ColumnWords:
    """A figure: its title, its unit, and the unit of a difference."""

    title: str
    unit: str = "%"
    change_unit: str = "pp"
    decimals: int = 1


TOP1 = ColumnWords("top-1")
SAVED = ColumnWords("memory saved")


@dataclass(frozen=True)
class ExperimentWords:
    """All words of one experiment.

    Attributes:
        question: what the source claims, in a sentence or two. made_of: what the small version is.
        published_for: network and data of the published figures.
        rows: title of each variant. columns: of each figure. drawings: of each picture.
        statements: of each expectation, what should come out, as a sentence without a full stop.
        reasons: a sentence of the figures that speak for it, without a full stop.
    """

    title: str
    question: str
    made_of: str
    published_for: str
    rows: Mapping[str, str]
    columns: Mapping[str, ColumnWords]
    statements: Mapping[str, str]
    drawings: Mapping[str, str]
    reasons: Mapping[str, Callable[[Figures], str]] = field(default_factory=dict)


def lost_little(figures: Figures) -> str:
    """There was nothing to recover."""
    return f"the small network loses only {figures['drop_pp']:.1f} points there, so there is little to recover"


def too_few_images(figures: Figures) -> str:
    """The seeds differ by more than the difference."""
    return (
        f"the seeds differ: the interval of the mean over {figures['seeds']:.0f} of them is {figures['margin_pp']:.1f} "
        f"points wide on each side, and one held-out image is {figures['image_pp']:.1f} points"
    )


def not_done(figures: Figures) -> str:
    """A training was too short."""
    return (
        f"the training was not done: the loss still fell from {figures['before']:.2g} to {figures['last']:.2g} in the "
        f"last quarter of {count_noun(round(figures['epochs']), 'epoch')}"
    )


def did_not_learn(figures: Figures) -> str:
    """The float network guesses."""
    return (
        f"the float network has not learned: it is right in {figures['top1']:.0f} % of the images after "
        f"{count_noun(round(figures['epochs']), 'epoch')}, and guessing gives {figures['chance']:.0f} %"
    )


def missing_seeds(figures: Figures) -> str:
    """A training diverged."""
    return f"a training diverged in {figures['count']:.0f} of {count_noun(round(figures['seeds']), 'seed')}"


COMMON_REASONS: Mapping[str, Callable[[Figures], str]] = {
    "diverged": missing_seeds,
    "nothing_lost": lost_little,
    "spread": too_few_images,
    "unfinished": not_done,
    "chance": did_not_learn,
}
"""What several experiments say."""
