"""Whether a repair or another scheme leaves the network harmed, the same on every surface."""

from collections.abc import Sequence

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.score import Score
from qdiag.reading.words.task.harm import cost_words

_WRITING, _WRITING_FILES = ("qdiag fix-bn ", "qdiag repair ", "qdiag.repair("), (" --repaired ", ", repaired=")
"""Commands that write a repaired network, or a quantized file; whatever else is proposed measures it, or says what no
command writes."""
_CHECKING, _MEASURING_FILES = "qdiag verify ", ", quantized="


def leaves_harm(after: Score | None) -> bool:
    """The network is harmed afterwards."""
    return after is not None and harm_of(after).verdict == "harmed"


def afterwards_words(after: Score | None) -> str:
    """`The network is still harmed afterwards: the loss of top-1 is 3.4 pp (...), and harm begins beyond 1.0 pp.`

    Empty where the samples are enough to say that it is not.
    """
    if after is None:
        return ""
    harm = harm_of(after)
    if harm.state == "healthy":
        return ""
    if harm.verdict == "harmed":
        return f"The network is still harmed afterwards: {cost_words(harm)}."
    return f"The samples are too few to tell whether harm is left afterwards: {cost_words(harm)}."


def repair_heading(after: Score | None, lines: Sequence[str]) -> str:
    """Above the commands: whether they repair the network, or a part of what it lost, or only measure or check it.

    Args:
        after: the network after all of them. lines: the commands.
    """
    if not writes_something(lines) and any(line.startswith(_CHECKING) for line in lines):
        return "To check the repaired file in its runtime:"
    if not writes_something(lines) and any(_MEASURING_FILES in line for line in lines):
        return "To measure the repaired file:"
    if not writes_something(lines):
        return "To measure it under the scheme that repairs it:"
    return "To repair a part of it:" if leaves_harm(after) else "To repair it:"


def writes_something(lines: Sequence[str]) -> bool:
    """One of the commands writes a repaired network, or a repaired quantized file."""
    return any(line.startswith(_WRITING) or any(word in line for word in _WRITING_FILES) for line in lines)


def still_words(after: Score | None) -> str:
    """`; still harmed`, behind the figures of a network in a table."""
    return "; still harmed" if leaves_harm(after) else ""
