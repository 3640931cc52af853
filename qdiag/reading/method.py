"""How a diagnosis was made: what was tried, and what a careful reader should know."""

from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.numbers import count_noun


def effort_words(ranking: Ranking) -> str:
    """`17 variants of the network were measured in 4 passes over the data`; empty where none was."""
    if not ranking.pass_count:
        return ""
    passes = "1 pass" if ranking.pass_count == 1 else f"{ranking.pass_count} passes"
    variants = f"{count_noun(ranking.variant_count, 'variant')} of the network"
    return f"{variants} {'was' if ranking.variant_count == 1 else 'were'} measured in {passes} over the data"


def notes_of(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Of the measurement, of the run and of the ranking, each once."""
    return tuple(dict.fromkeys((*diagnosis.measurement.notes, *diagnosis.notes, *diagnosis.ranking.notes)))
