"""What is proposed: commands under one heading each, and what is said below them."""

from dataclasses import dataclass

from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.repairing import commands, scheme_words, way_around_commands
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.preprocessing import preprocessing_command
from qdiag.reading.words.task.afterwards import afterwards_words, repair_heading

AGAIN_HEADING = "To look again with other inputs:"
TRAINING_HEADING = "To train it:"
CHANGE_HEADING, OTHER_CHANGE_HEADING = "To measure it under another scheme:", "Or, to measure it under another scheme:"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Commands that belong together.

    Attributes:
        heading: ends in a colon. commands: in the order in which they are run.
        remarks: sentences on what is true afterwards.
    """

    heading: str
    commands: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The heading without its colon, for surfaces that have headings of their own."""
        return self.heading.removesuffix(":")


def proposals(diagnosis: Diagnosis) -> tuple[Proposal, ...]:
    """The repairs within the scheme, then the change of scheme that recovers most; each only where it helps."""
    ranking, found = diagnosis.ranking, list[Proposal]()
    lines = commands(diagnosis)
    if lines:
        after = repaired_score(diagnosis)
        found.append(Proposal(repair_heading(after, lines), lines, _remarks(afterwards_words(after), lines)))
    way = ranking.way_around
    around = way_around_commands(diagnosis, way) if way is not None else ()
    if around:
        left = afterwards_words(way.after if way is not None else None)
        heading = OTHER_CHANGE_HEADING if lines else CHANGE_HEADING
        known = {sentence for proposal in found for sentence in proposal.remarks}
        remarks = tuple(sentence for sentence in _remarks(left, around) if sentence not in known)
        found.append(Proposal(heading, around, remarks))
    return tuple(found)


def repaired_score(diagnosis: Diagnosis) -> Score | None:
    """The network after the commands; a quantized file is also written with the change of scheme that helps most."""
    ranking = diagnosis.ranking
    is_changed = diagnosis.measurement.deployed is not None and not ranking.waterfall
    return ranking.way_around.after if is_changed and ranking.way_around is not None else ranking.repaired


def again_proposal(diagnosis: Diagnosis) -> Proposal | None:
    """The same diagnosis with inputs that are prepared as in training; None where they are."""
    line = preprocessing_command(diagnosis)
    return Proposal(AGAIN_HEADING, (line,)) if line is not None else None


def training_proposal(diagnosis: Diagnosis) -> Proposal | None:
    """The training that helps most; None where none helps."""
    lines = training_commands(diagnosis)
    return Proposal(TRAINING_HEADING, lines) if lines else None


def _remarks(afterwards: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, (afterwards, scheme_words(lines))))
