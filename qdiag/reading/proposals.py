"""What is proposed: commands under one heading each, and what is said below them."""

from dataclasses import dataclass

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.layer_names import counted_places
from qdiag.reading.words.commands.repairing import commands, scheme_words, way_around_commands
from qdiag.reading.words.commands.runtime import runtime_commands
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.deployed.rules import doubt_words, no_better_words
from qdiag.reading.words.evidence import evidence_words
from qdiag.reading.words.preprocessing import preprocessing_command
from qdiag.reading.words.task.afterwards import afterwards_words, repair_heading

AGAIN_HEADING = "To look again with other inputs:"
RUNTIME_HEADING = "To diagnose it by the rules of its runtime:"
TRAINING_HEADING = "To train it:"
IN_FILE = "The repaired file holds this change."
CHANGE_HEADING, OTHER_CHANGE_HEADING = "To measure it with {}:", "Or, to measure it with {}:"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Commands that belong together.

    Attributes:
        heading: ends in a colon. commands: in the order in which they are run.
        remarks: sentences on what is true afterwards.
        change: the change of scheme that the commands measure; None where they repair something.
    """

    heading: str
    commands: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    change: Trial | None = None

    @property
    def title(self) -> str:
        """The heading without its colon, for surfaces that have headings of their own."""
        return self.heading.removesuffix(":")


def proposals(diagnosis: Diagnosis) -> tuple[Proposal, ...]:
    """The repairs within the scheme, then the change of scheme that recovers most; each only where it helps.

    Last, of a quantized file, the same diagnosis by the rules of its runtime, where that computes something else.
    """
    ranking, found = diagnosis.ranking, list[Proposal]()
    lines = commands(diagnosis)
    if lines:
        after = repaired_score(diagnosis)
        found.append(Proposal(repair_heading(after, lines), lines, _remarks(afterwards_words(after), lines)))
    way = ranking.way_around
    around = way_around_commands(diagnosis, way) if way is not None else ()
    if way is not None and around:
        heading = (OTHER_CHANGE_HEADING if lines else CHANGE_HEADING).format(change_words(way))
        known = {sentence for proposal in found for sentence in proposal.remarks}
        is_written = _is_in_file(diagnosis, has_commands=bool(lines))
        told = (cost_sentence(way), *_remarks(afterwards_words(way.after), () if is_written else around))
        told = (*told, IN_FILE) if is_written else told
        remarks = tuple(sentence for sentence in told if sentence and sentence not in known)
        found.append(Proposal(heading, around, remarks, way))
    runtime, run = runtime_commands(diagnosis), diagnosis.verification
    if runtime and run is not None:
        sentences = (doubt_words(run), no_better_words(diagnosis))
        found.append(Proposal(RUNTIME_HEADING, runtime, tuple(filter(None, sentences))))
    return tuple(found)


def change_words(trial: Trial) -> str:
    """`one weight scale per channel (4 layers)`."""
    return f"{repair_title(trial.repair)} ({counted_places(trial.layers)})"


def cost_sentence(trial: Trial) -> str:
    """`What it costs: 116 scales have to be stored in addition.`; empty where nothing is known of that."""
    return f"What it costs: {'; '.join(map(evidence_words, trial.costs))}." if trial.costs else ""


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


def _is_in_file(diagnosis: Diagnosis, *, has_commands: bool) -> bool:
    """The change of scheme that helps most is what the repaired quantized file was, or will be, written with."""
    is_chosen = diagnosis.measurement.deployed is not None and not diagnosis.ranking.waterfall
    return is_chosen and (has_commands or bool(diagnosis.repaired_file))


def _remarks(afterwards: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, (afterwards, scheme_words(lines))))
