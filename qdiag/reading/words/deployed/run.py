"""A quantized file in its runtime beside the simulation, in a few lines."""

from qdiag.core.measures.deployed.verification import Verification
from qdiag.reading.layer_names import layer_named
from qdiag.reading.words.deployed.operations import integer_words
from qdiag.reading.words.deployed.rules import rules_words
from qdiag.reading.words.deployed.verification import (
    integer_agreement,
    percent_words,
    sqnr_words,
    task_words,
)
from qdiag.reading.words.numbers import count_noun

_SHOWN = 4


def run_lines(run: Verification | None) -> tuple[str, ...]:
    """All integers, outputs, figures of the task, and the layers that differ most; empty without a run."""
    if run is None:
        return ()
    worst = sorted((layer for layer in run.layers if layer.differing_count), key=lambda one: -one.differing_percent)
    layers = [
        f"{layer_named(one.layer)}: {percent_words(one.differing_percent)} of its integers differ, by "
        f"{count_noun(one.largest_steps, 'step')} at most"
        for one in worst[:_SHOWN]
    ]
    agreement = (integer_agreement(run), *rules_words(run))
    return (integer_words(run.operations), *agreement, sqnr_words(run), *task_words(run), *layers)
