"""Sentences on folding: every number of BatchNorms and activations has its grammar, and every reason its sentence."""

from dataclasses import replace

import pytest

from qdiag.core.measures.folding import BatchNormFold, ClampSite, FoldReport, OutputDelta
from qdiag.reading.words.folding.batchnorms import delta_sentence, headline, kept_sentences, side_words
from qdiag.reading.words.folding.clamps import bounds_words, clamp_sentences
from tests.fold_reports import NEITHER, fold_report

FOLDED, KEPT = fold_report().folded[0], fold_report().kept[0]
SHARED, NOT_SHARED = (fold_report().clamps[i] for i in (0, 2))


def of(*norms: BatchNormFold) -> FoldReport:
    return replace(fold_report(), batchnorms=norms)


def clamps(*sites: ClampSite) -> list[str]:
    return list(clamp_sentences(replace(fold_report(), clamps=sites)))


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ((FOLDED,), "1 BatchNorm: it is folded."),
        ((FOLDED, FOLDED), "2 BatchNorms: all are folded."),
        ((KEPT,), "1 BatchNorm: it stays."),
        ((KEPT, KEPT), "2 BatchNorms: none is folded."),
        ((FOLDED, KEPT), "2 BatchNorms: 1 is folded, and 1 stays."),
        ((FOLDED, FOLDED, KEPT, KEPT), "4 BatchNorms: 2 are folded, and 2 stay."),
    ],
)
def test_the_headline_counts(norms: tuple[BatchNormFold, ...], words: str) -> None:
    assert headline(of(*norms)) == words


def test_the_largest_change_is_said_with_its_samples() -> None:
    report = of(FOLDED)
    assert delta_sentence(report) == (
        "On 500 samples, the float output logits moves by 3.1e-06 at most, 2.5e-07 of its largest value; "
        "boxes by 1.0e-06, 5.0e-07."
    )
    one = replace(report, outputs=(OutputDelta("y", 1e-6, 2e-7),))
    assert delta_sentence(one).endswith("the float output moves by 1.0e-06 at most, 2.0e-07 of its largest value.")
    same = replace(report, outputs=(OutputDelta("y", 0.0, 0.0),))
    assert delta_sentence(same) == "The float output stays what it was, bit for bit, on 500 samples."
    assert delta_sentence(of(KEPT)) == ""


def test_each_reason_is_a_sentence_and_said_once() -> None:
    many, single = kept_sentences(fold_report())
    assert many == (
        f"dense.0.bn, dense.1.bn stay operations of their own. The reason for each of them is that {NEITHER}. "
        "Each reads the output of cat, and its own output goes to relu."
    )
    assert single == (
        "last.bn stays an operation of its own, because it has no running statistics. It reads an input of the "
        "network, and its own output goes to add and is an output of the network."
    )


def test_the_side_says_across_what_a_batchnorm_goes() -> None:
    before, across = fold_report().batchnorms[0], fold_report().batchnorms[2]
    assert (side_words(before), side_words(across), side_words(KEPT)) == ("before it", "after it, behind relu", "")
    assert side_words(replace(across, reads="input")) == "after it, behind the input"


def test_counts_of_activations_have_their_grammar() -> None:
    assert clamps(SHARED)[0] == "The activation shares its quantizer with the operation before it."
    assert clamps(SHARED, SHARED)[0] == "Each of the 2 activations shares its quantizer with the operation before it."
    assert clamps(SHARED, NOT_SHARED)[0] == "1 of 2 activations shares its quantizer with the operation before it."
    assert clamps(NOT_SHARED)[0] == "None of 1 activation shares its quantizer with the operation before it."
    assert clamps() == ["The network has no activation behind a convolution or another operation."]


def test_steps_are_those_of_the_ranges() -> None:
    """9.3 - (-6) over 6 - 0, and 3 over 2.5."""
    sites = fold_report().clamps[:2]
    assert [site.step_over_shared for site in sites] == pytest.approx([15.3 / 6.0, 3.0 / 2.5])
    said = clamps(*sites)
    assert said[1] == (
        "With a quantizer before the activation, the steps at conv1 would be 2.55 times as wide, and 1.88 times as "
        "wide in the median of all activations."
    )
    assert said[2] == "At layer dw the integers reach beyond the bounds, so that the clamp is computed as well."
    assert clamps(sites[1])[2].startswith("The integers of this scheme reach beyond the bounds")


def test_one_without_a_quantizer_is_told_from_one_with_its_own() -> None:
    of_all = clamps(*fold_report().clamps)
    assert "act (hardswish) shares none with the conv2d before it, because it is no clamp." in of_all
    assert "head (relu) has no quantizer to share, because the layer computes in float: by request." in of_all
    twice = clamps(NOT_SHARED, NOT_SHARED)
    assert twice[-1] == (
        "act (hardswish), act (hardswish) share none with what comes before them. The reason for each of them is that "
        "it is no clamp."
    )


@pytest.mark.parametrize(
    ("bounds", "words"),
    [((0.0, 6.0), "0 to 6"), ((0.0, float("inf")), "from 0"), ((float("-inf"), 1.0), "up to 1"), (None, "")],
)
def test_bounds(bounds: tuple[float, float] | None, words: str) -> None:
    assert bounds_words(replace(SHARED, bounds=bounds)) == words
