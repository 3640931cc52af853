"""What a change of scheme that reaches other layers says of the suspect's own, the same on every surface."""

from qdiag.core.causes.ranking import Trial
from qdiag.core.measures.task import Criterion
from qdiag.reading.words.task.figures import gain_of, recovery_words

_HALF = 0.5


def own_words(trial: Trial, criterion: Criterion | None) -> str:
    """`its own layers alone, in float, recover 0.0038 (95 %: -0.0026 to 0.01)`, and what they have over the others.

    Empty where they recover at least half of what the trial does.
    """
    if trial.own is None or trial.recovery is None:
        return ""
    (_, own, _), (_, whole, _) = gain_of(trial.own, criterion), gain_of(trial.recovery, criterion)
    if not trial.is_of_others and own >= _HALF * whole:
        return ""
    words = f"its own layers alone, in float, recover {recovery_words(trial.own, criterion)}"
    if trial.over_others is None:
        return words
    on_top = recovery_words(trial.over_others, criterion)
    return f"{words}; on top of the same change at the other layers, they recover {on_top}"


def credited_words(trial: Trial, criterion: Criterion | None) -> str:
    """What counts for the suspect, with the 95 % interval."""
    if trial.recovery is None:
        return ""
    if not trial.is_of_others or trial.own is None:
        return recovery_words(trial.recovery, criterion)
    if trial.over_others is not None and trial.is_on_top:
        back = recovery_words(trial.over_others, criterion)
        return f"{back} on top of the same change at other layers"
    return f"{recovery_words(trial.own, criterion)} by its own layers alone, in float"
