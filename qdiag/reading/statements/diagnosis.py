"""What a diagnosis says, sentence by sentence."""

from collections.abc import Iterator

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import Reading, read
from qdiag.reading.proposals import Proposal
from qdiag.reading.sequence import StepRow
from qdiag.reading.statements.base import Places, Statement
from qdiag.reading.suspects import SuspectRow


def diagnosis_statements(diagnosis: Diagnosis) -> tuple[Statement, ...]:
    """Everything that a diagnosis says of harm, causes, repairs and schemes, in the order of the report."""
    reading, places = read(diagnosis), Places(diagnosis)
    return (
        _harm(reading, places),
        *(_suspect(i, row, places) for i, row in enumerate(reading.suspects, 1)),
        *(_step(i, row, places) for i, row in enumerate(reading.sequence.steps, 1)),
        *_remainder(reading, places),
        *_changes(reading, places),
        *_proposals(reading, places),
        *(Statement(f"note-{i}", note, (_place_of_note(note, diagnosis),)) for i, note in enumerate(reading.notes, 1)),
    )


def _harm(reading: Reading, places: Places) -> Statement:
    ranking = reading.diagnosis.ranking
    claimed = (cause for row in reading.suspects if (cause := row.cause) in ranking.claimed)
    return Statement("harm", reading.headline, places.of(ranking.harm, ranking.before, *claimed))


def _suspect(number: int, row: SuspectRow, places: Places) -> Statement:
    told = row.best.trial if row.best is not None else None
    return Statement(f"suspect-{number}", f"{row.line}. Verdict: {row.verdict}.", places.of(row.cause, told))


def _step(number: int, row: StepRow, places: Places) -> Statement:
    text = f"Step {number}, {row.repair} ({row.suspect}), recovers {row.recovers.full}"
    return Statement(f"step-{number}", f"{text}; the network then has {row.afterwards}.", places.of(row.step))


def _remainder(reading: Reading, places: Places) -> Iterator[Statement]:
    ranking, sentence = reading.diagnosis.ranking, reading.sequence.remainder_sentence
    if reading.sequence.steps and sentence:
        yield Statement("remainder", sentence, ("/ranking/remainder", *places.of(ranking.repaired)))
    if reading.repaired_layers:
        yield Statement("repaired-layers", reading.repaired_layers, ("/repaired_network",))
    for i, (part, words) in enumerate(zip(ranking.parts, reading.sequence.parts, strict=True), 1):
        yield Statement(f"part-{i}", words, places.of(part))


def _changes(reading: Reading, places: Places) -> Iterator[Statement]:
    for i, row in enumerate(reading.changes, 1):
        tried = row.tried
        recovers = tried.recovers.full if tried.recovers is not None else "an amount that is not known"
        text = f"Another scheme, {row.title} at {tried.where}, recovers {recovers}"
        comma = "," if tried.afterwards.startswith("on ") else ""
        yield Statement(
            f"change-{i}", f"{text}; the network then has{comma} {tried.afterwards}.", places.of(tried.trial)
        )
        if row.repaired_layers:
            yield Statement(f"change-{i}-layers", row.repaired_layers, ("/repaired_network",))


def _proposals(reading: Reading, places: Places) -> Iterator[Statement]:
    ranking = reading.diagnosis.ranking
    told = [(proposal, places.of(*_proof_of(proposal, reading))) for proposal in reading.proposals]
    if reading.again is not None:
        told.append((reading.again, ("/measurement",)))
    if reading.training_proposal is not None:
        told.append((reading.training_proposal, ("/trainings",)))
    for i, (proposal, proofs) in enumerate(told, 1):
        commands = " and then ".join(f"`{command}`" for command in proposal.commands)
        text = " ".join((proposal.heading, f"{commands}." if commands else "", *proposal.remarks))
        yield Statement(f"proposal-{i}", text, proofs or places.of(ranking.harm))


def _proof_of(proposal: Proposal, reading: Reading) -> tuple[object, ...]:
    """The trial of a change of scheme; the steps of the repairs otherwise, or what proved the causes."""
    ranking = reading.diagnosis.ranking
    if proposal.change is not None:
        return (proposal.change,)
    return ranking.waterfall or ranking.claimed


def _place_of_note(note: str, diagnosis: Diagnosis) -> str:
    if note in diagnosis.notes:
        return f"/notes/{diagnosis.notes.index(note)}"
    if note in diagnosis.ranking.notes:
        return f"/ranking/notes/{diagnosis.ranking.notes.index(note)}"
    return "/measurement"
