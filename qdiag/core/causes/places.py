"""Where decibels are read: an output, or a part of one, by name."""

import math
from dataclasses import dataclass

from qdiag.core.causes.score import Score
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import counts_parts


@dataclass(frozen=True, slots=True)
class Place:
    """An output; `part` is empty where the whole of it counts."""

    output: str
    part: str = ""


def places_of(score: Score) -> dict[Place, ErrorSums]:
    """Of each output its parts with a signal, where parts count and there are some; otherwise the whole."""
    found: dict[Place, ErrorSums] = {}
    by_part = counts_parts(score.task)
    for output in score.outputs:
        parts = {Place(output.name, p.name): p.error for p in output.parts if p.is_evidence} if by_part else {}
        if not output.is_silent:
            found |= parts or {Place(output.name): output.error}
    return found


def weakest_place(score: Score) -> Place | None:
    """Where `Score.output_sqnr_db` is read."""
    return _lowest(places_of(score))


def lost_most(score: Score) -> Place | None:
    """Where a recovery over this score is read: what lost most, at the judged output where there is one."""
    found = places_of(score)
    judged = score.task.choice.output
    own = {place: error for place, error in found.items() if place.output == judged}
    return _lowest(own or found)


def sqnr_db_at(score: Score, place: Place) -> float:
    """NaN where the score has no such place."""
    error = places_of(score).get(place)
    return error.sqnr_db if error is not None else math.nan


def _lowest(found: dict[Place, ErrorSums]) -> Place | None:
    def sqnr(place: Place) -> float:
        value = found[place].sqnr_db
        return -math.inf if math.isnan(value) else value

    return min(found, key=sqnr, default=None)
