"""At which output, or part of one, decibels were read; nothing where there is only one."""

from qdiag.core.causes.places import Place, lost_most, places_of, sqnr_db_at, weakest_place
from qdiag.core.causes.score import Score
from qdiag.reading.words.numbers import with_unit


def weakest_words(score: Score) -> str:
    """` (branch sigmoid of output boxes)`, behind the SQNR of the weakest output."""
    return _inside(_name(score, weakest_place(score)))


def lost_most_words(before: Score) -> str:
    """` at branch sigmoid of output boxes`, behind what a repair recovers: where most had been lost before it."""
    name = _name(before, lost_most(before))
    return f" at {name}" if name else ""


def same_place_words(before: Score, after: Score) -> str:
    """`; 38.2 dB where most had been lost (branch sigmoid)`: empty where that is the weakest, or has as much."""
    place = lost_most(before)
    name = _name(before, place)
    if place is None or not name or place == weakest_place(after):
        return ""
    found = {one: with_unit(sqnr_db_at(after, one), "dB") for one in (place, weakest_place(after)) if one is not None}
    there, weakest = found[place], found.get(weakest_place(after) or place)
    return f"; {there} where most had been lost{_inside(name)}" if there != weakest else ""


def _inside(name: str) -> str:
    return f" ({name})" if name else ""


def _name(score: Score, place: Place | None) -> str:
    """Empty where there is no other place."""
    if place is None or len(places_of(score)) < 2:
        return ""
    output = f"output {place.output}"
    if not place.part:
        return output
    return place.part + (f" of {output}" if len(score.outputs) > 1 else "")
