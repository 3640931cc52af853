"""A diagnosis as every surface shows it: read once, laid out many times."""

from dataclasses import dataclass

from qdiag.core.causes.ranking import HarmState
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.figures import FigureRow, figure_rows
from qdiag.reading.layers.repaired import repaired_words
from qdiag.reading.method import effort_words, notes_of
from qdiag.reading.proposals import Proposal, again_proposal, proposals, training_proposal
from qdiag.reading.scheme_changes import ChangeRow, change_rows
from qdiag.reading.sequence import SequenceRows, sequence_rows
from qdiag.reading.suspects import FindingRow, SuspectRow, finding_row, suspect_rows
from qdiag.reading.words.causes import diagnosis_state_words, headline, state_of
from qdiag.reading.words.trials.training import training_lines
from qdiag.reading.words.untried import untried_findings


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows, selections, proposals and sentences.

    Attributes:
        state, state_words: whether quantization harms the network, as a key and in words.
        headline: what quantization costs, and why, in one to three sentences.
        untried: findings that belong to no suspect.
        proposals: the repairs, then the change of scheme that recovers most. again: to look again with other inputs.
        repaired_layers: what the repairs of the sequence make of the weakest layers.
        training: what training recovers, in sentences. training_proposal: how to train so.
        effort: what was tried for it.
    """

    diagnosis: Diagnosis
    state: HarmState
    state_words: str
    headline: str
    figures: tuple[FigureRow, ...]
    suspects: tuple[SuspectRow, ...]
    untried: tuple[FindingRow, ...]
    sequence: SequenceRows
    repaired_layers: str
    changes: tuple[ChangeRow, ...]
    proposals: tuple[Proposal, ...]
    again: Proposal | None
    training: tuple[str, ...]
    training_proposal: Proposal | None
    effort: str
    notes: tuple[str, ...]


def read(diagnosis: Diagnosis) -> Reading:
    """Everything that a surface may show of a diagnosis, beyond layers and how they were measured."""
    ranking = diagnosis.ranking
    return Reading(
        diagnosis=diagnosis,
        state=state_of(diagnosis),
        state_words=diagnosis_state_words(diagnosis),
        headline=headline(diagnosis),
        figures=figure_rows(ranking),
        suspects=suspect_rows(ranking),
        untried=tuple(map(finding_row, untried_findings(ranking))),
        sequence=sequence_rows(ranking),
        repaired_layers=repaired_words(diagnosis),
        changes=change_rows(diagnosis),
        proposals=proposals(diagnosis),
        again=again_proposal(diagnosis),
        training=training_lines(diagnosis),
        training_proposal=training_proposal(diagnosis),
        effort=effort_words(ranking),
        notes=notes_of(diagnosis),
    )
