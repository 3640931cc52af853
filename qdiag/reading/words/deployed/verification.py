"""A deployed network beside its simulation, in words."""

import math
from collections.abc import Iterator, Sequence

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.score import Score
from qdiag.core.measures.deployed.verification import Breach, LayerAgreement, Verification
from qdiag.core.measures.task import Figure
from qdiag.reading.layer_names import layer_named, layers_named
from qdiag.reading.words.numbers import count_noun, with_unit
from qdiag.reading.words.task.figures import change_words, value_words
from qdiag.reading.words.task.harm import cost_words, state_words

_LISTED_AT_MOST = 6
INHERITED = "an input differs already"
_UNKNOWN = "no reason is known"
PASSED = "the runtime computes what the simulation says, within the limits."
"""Where no limit is broken."""


def percent_words(percent: float) -> str:
    """`0 %`, `0.0012 %`, `3.4 %`."""
    return f"{percent:.2g} %"


def integer_agreement(result: Verification) -> str:
    """`0.0012 % of 1,234,567 integers differ, by 2 steps at most, in 3 of 30 layers`."""
    if not result.count:
        return "no activation has integers in the file"
    if not result.differing_count:
        return f"all {result.count:,} integers of {count_noun(len(result.layers), 'layer')} are equal"
    most = max(layer.largest_steps for layer in result.layers)
    touched = sum(layer.differing_count > 0 for layer in result.layers)
    return (
        f"{percent_words(result.differing_percent)} of {result.count:,} integers differ, by "
        f"{count_noun(most, 'step')} at most, in {touched} of {count_noun(len(result.layers), 'layer')}"
    )


def differing_words(layer: LayerAgreement) -> str:
    """`conv1: 3.4 % of its 1,234 integers differ, by 2 steps at most (its input differs already)`."""
    share, most = percent_words(layer.differing_percent), count_noun(layer.largest_steps, "step")
    reason = reason_of(layer)
    return f"{layer_named(layer.layer)}: {share} of its {layer.count:,} integers differ, by {most} at most" + (
        f" ({reason})" if reason else ""
    )


def reason_of(layer: LayerAgreement) -> str:
    """Why its integers may differ; empty where nothing is known."""
    return layer.reason or (INHERITED if layer.is_inherited and layer.differing_count else "")


def reason_words(result: Verification) -> tuple[str, ...]:
    """`3 layers, first norm, with 0.4 % of all integers: it computes in float`: why they differ, the most first."""
    if result.scheme.arithmetic == "float":
        return ()
    groups: dict[str, list[LayerAgreement]] = {}
    for layer in result.layers:
        if layer.differing_count:
            groups.setdefault(reason_of(layer) or _UNKNOWN, []).append(layer)
    shares = {reason: sum(layer.differing_count for layer in layers) for reason, layers in groups.items()}
    return tuple(
        f"{_who(groups[reason])}, {percent_words(100.0 * shares[reason] / result.count)} of all integers: {reason}"
        for reason in sorted(groups, key=lambda reason: (reason == INHERITED, -shares[reason]))
    )


def _who(layers: Sequence[LayerAgreement]) -> str:
    first = layer_named(layers[0].layer)
    return first if len(layers) == 1 else f"{len(layers)} layers, first {first}"


def pair_words(result: Verification) -> tuple[str, ...]:
    """That the file computes otherwise on other processors; nothing where it does not."""
    if not result.adds_pairs or result.scheme.activations.signed or not result.operations.integer_count:
        return ()
    return (
        "on this processor (x86 without VNNI) its kernels add products in pairs of int16, which saturate: on another "
        "processor its integers may differ",
    )


def sample_agreement(result: Verification) -> str:
    """`outputs equal on all 64 samples`."""
    if result.equal_count == result.sample_count:
        return (
            f"outputs equal on {'all ' if result.sample_count > 1 else ''}{count_noun(result.sample_count, 'sample')}"
        )
    return f"outputs equal on {result.equal_count} of {count_noun(result.sample_count, 'sample')}"


def sqnr_words(result: Verification) -> str:
    """Both at the output that lost most."""
    return (
        f"output SQNR {with_unit(result.simulated_sqnr_db, 'dB', 2)} simulated, "
        f"{with_unit(result.deployed_sqnr_db, 'dB', 2)} deployed"
    )


def task_words(result: Verification) -> Iterator[str]:
    """`top-1 81.3 % float, 76.6 % simulated, 76.6 % deployed, 64 samples`, of every figure."""
    for simulated, deployed in zip(result.simulated_task.figures, result.deployed_task.figures, strict=True):
        yield _figure_words(simulated, deployed)


def _figure_words(simulated: Figure, deployed: Figure) -> str:
    criterion, parts = simulated.criterion, list[str]()
    if not criterion.is_against_float:
        parts.append(f"{value_words(criterion, simulated.reference)} float")
    parts.append(f"{value_words(criterion, simulated.simulated)} simulated")
    parts.append(f"{value_words(criterion, deployed.simulated)} deployed")
    name = f"{criterion.name} with float" if criterion.is_against_float else criterion.name
    return f"{name} {', '.join(parts)}, {count_noun(simulated.sample_count, 'sample')}"


def uncompared_words(result: Verification) -> Iterator[str]:
    """Layers that were not compared, by reason."""
    by_reason: dict[str, list[str]] = {}
    for one in result.uncompared:
        by_reason.setdefault(one.reason, []).append(one.layer)
    for reason, names in by_reason.items():
        yield f"not compared: {layers_named(names, _LISTED_AT_MOST)} ({reason})"


def breach_words(breach: Breach, result: Verification) -> str:
    """What is broken, and by how much."""
    if breach.code == "differing":
        share, limit = percent_words(breach.value), percent_words(breach.limit)
        return f"{share} of all integers differ, more than {limit} (`max_differing`)"
    if breach.code == "sqnr_gap":
        gap, limit = with_unit(breach.value, "dB", 2), with_unit(breach.limit, "dB", 2)
        what = f"the output SQNR lies {gap} below that of the simulated network"
        return f"{what}, more than {limit} (`max_sqnr_gap`)"
    if breach.code == "drop" and math.isnan(breach.value):
        needed = "it needs labels, targets or a metric"
        return f"what the deployed network loses against float is not known: `max_drop` cannot be judged, {needed}"
    if breach.code == "drop":
        judged = result.deployed_task.judged
        criterion = judged.criterion if judged is not None else None
        loss, limit = change_words(criterion, breach.value), change_words(criterion, breach.limit)
        return f"the deployed network loses {loss} against float, more than {limit} (`max_drop`)"
    names = layers_named(result.fallen_back, _LISTED_AT_MOST)
    return f"the runtime computes in float what has integers in the plan: {names}"


def harm_words(result: Verification) -> str:
    """`The deployed network is harmed: the loss of top-1 is 88.0 pp (...), and harm begins beyond 1.0 pp.`

    Equal integers say nothing about that: a runtime may compute exactly what ruins a network.
    """
    harm = harm_of(Score(result.deployed, result.deployed_task))
    if math.isnan(harm.value):
        return "Nothing to judge the deployed network by: what quantization costs is not known."
    state = state_words(harm)
    verb = f"The deployed network is {state}" if harm.state != "unsure" else state[:1].upper() + state[1:]
    is_overlooked = harm.verdict == "harmed" and result.limits.drop is None
    return f"{verb}: {cost_words(harm)}.{' `max_drop` makes that a failure.' if is_overlooked else ''}"
