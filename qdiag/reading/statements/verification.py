"""What `qdiag verify` says of a quantized file in its runtime, sentence by sentence."""

from collections.abc import Iterator

from qdiag.core.measures.deployed.verification import LayerAgreement, Verification
from qdiag.reading.statements.base import LAYERS_TOLD, Places, Statement, numbered, sentence, stopped
from qdiag.reading.words.deployed.operations import float_words, integer_words
from qdiag.reading.words.deployed.verification import (
    PASSED,
    breach_words,
    differing_words,
    harm_words,
    integer_agreement,
    pair_words,
    sample_agreement,
    sqnr_words,
    task_words,
    uncompared_words,
)
from qdiag.reading.words.size import size_words

_LIMITS = ("/limits", "/differing_percent", "/sqnr_gap_db", "/deployed_task", "/fallen_back")


def verification_statements(result: Verification) -> tuple[Statement, ...]:
    """Limits that are broken, harm, integers and layers that differ, outputs and figures of all three networks."""
    return (
        *_verdict(result),
        Statement("harm", harm_words(result), ("/deployed_task", "/deployed")),
        Statement("integers", sentence(integer_agreement(result)), ("/differing_count", "/count")),
        *numbered("layer", _layers(result)),
        Statement("outputs", sentence(sample_agreement(result)), ("/equal_count", "/sample_count")),
        Statement("sqnr", sentence(sqnr_words(result)), ("/simulated_sqnr_db", "/deployed_sqnr_db")),
        *numbered(
            "figure",
            (
                (sentence(words), (f"/simulated_task/figures/{i}", f"/deployed_task/figures/{i}"))
                for i, words in enumerate(task_words(result))
            ),
        ),
        Statement("runtime", sentence(integer_words(result.operations)), ("/operations",)),
        Statement("runtime-float", sentence(float_words(result.operations)), ("/operations/floating",)),
        *numbered("uncompared", _uncompared(result)),
        *numbered("processor", ((sentence(words), ("/adds_pairs",)) for words in pair_words(result))),
        *numbered("size", ((sentence(words), ("/size",)) for words in size_words(result.size))),
    )


def _verdict(result: Verification) -> Iterator[Statement]:
    if not result.breaches:
        yield Statement("verdict", f"Passed: {PASSED}", _LIMITS)
    for i, breach in enumerate(result.breaches):
        yield Statement(f"breach-{i + 1}", f"Failed: {breach_words(breach, result)}.", (f"/breaches/{i}", "/limits"))


def _layers(result: Verification) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Those of which most integers differ."""
    places = Places(result)

    def share(layer: LayerAgreement) -> float:
        return -layer.differing_percent

    for layer in sorted((layer for layer in result.layers if layer.differing_count), key=share)[:LAYERS_TOLD]:
        yield stopped(differing_words(layer)), places.of(layer)


def _uncompared(result: Verification) -> Iterator[tuple[str, tuple[str, ...]]]:
    by_reason: dict[str, list[str]] = {}
    for i, layer in enumerate(result.uncompared):
        by_reason.setdefault(layer.reason, []).append(f"/uncompared/{i}")
    for words, proofs in zip(uncompared_words(result), by_reason.values(), strict=True):
        yield sentence(words), tuple(proofs)
