"""What stands below the table of suspects and their repairs."""

from collections.abc import Iterator

from qdiag.core.causes.ranking import Ranking
from qdiag.reading.words.causes import VERDICT_WORDS, trial_title
from qdiag.reading.words.trials.own_layers import own_words


def trial_remarks(ranking: Ranking) -> Iterator[str]:
    """Why suspects are not called causes, why repairs were not made, and what is not the suspect's own."""
    for cause in ranking.causes:
        if cause.verdict != "cause":
            yield f"{cause.rank}. {cause.code} is {VERDICT_WORDS[cause.verdict]}: {cause.reason}."
        for trial in cause.trials:
            if trial.refused is not None and cause.verdict != "harmless":
                yield f"{cause.rank}. {cause.code}, {trial_title(trial)}: refused, {trial.refused}."
            own = own_words(trial, ranking.criterion)
            if own:
                yield f"{cause.rank}. {cause.code}, {trial_title(trial)}: {own}."
