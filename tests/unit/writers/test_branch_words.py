"""Sentences about branches follow the figures, and claim nothing beside them."""

import math
from dataclasses import replace

import pytest

from qdiag.core.measures.branches import BranchBlock, Condition
from qdiag.reading.words.branches.advice import advice_sentences
from qdiag.reading.words.branches.verdicts import block_sentences, headline, verdict_words
from tests.branch_reports import branch_report
from tests.measurements import sums


def block(name: str, **changes: object) -> BranchBlock:
    return replace(branch_report().block(name), **changes)  # type: ignore[arg-type]


def test_a_verdict_names_what_fails_and_the_branch_at_fault() -> None:
    verdicts = [verdict_words(block) for block in branch_report().blocks]
    assert verdicts == [
        "quantizes well", "weights: rbr_identity", "weights, activations: rbr_1x1", "not fused",
    ]  # fmt: skip


def test_a_block_that_the_scheme_leaves_in_float_is_said_to_be_so() -> None:
    unknown = Condition(math.nan)
    assert verdict_words(block("stage1.0", c1=unknown, c2=unknown)) == "nothing is quantized"
    assert verdict_words(block("stage1.0", c1=unknown)) == "quantizes well"


def test_no_branch_is_named_where_none_accounts_for_the_figure() -> None:
    found = block("stage1.1", c1=Condition(4.1))
    assert verdict_words(found) == "weights"
    (sentence,) = block_sentences(found)
    assert "no single branch accounts for it" in sentence
    assert "rbr_identity" not in sentence


def test_the_branch_at_fault_comes_with_its_figures() -> None:
    (sentence,) = block_sentences(branch_report().block("stage1.1"))
    assert sentence == (
        "stage1.1: the output has 4.1 dB after rounding of the fused weight alone, and 20.0 dB are enough; without "
        "stage1.1.rbr_identity, whose BatchNorm multiplies channel 2 by 692 and the median channel by 0.9, it would "
        "have 36.5 dB."
    )
    (sentence,) = block_sentences(block("stage1.1", weight_channel_sqnr_db=4.1, weight_output_sqnr_db=9.0))
    assert "the median channel of the fused weight has 4.1 dB after rounding, and" in sentence


LOST = {"c1": Condition(40.0), "c2": Condition(40.0), "before": sums(24.0), "after": sums(15.0)}


def test_a_block_that_loses_by_fusion_does_not_quantize_well_though_both_conditions_hold() -> None:
    found = block("stage1.1", **LOST, alone=sums(15.5))
    assert verdict_words(found) == "loses by fusion"
    assert list(block_sentences(found)) == [
        "stage1.1: fusion takes 9.0 dB from the block's end, 24.0 to 15.0 dB, and the fused convolution itself makes "
        "most of the added noise."
    ]
    report = replace(branch_report(), blocks=(found,))
    assert headline(report).endswith("fused exactly: it loses 3 dB or more by fusion.")
    report = replace(report, blocks=(found, branch_report().block("stage1.1")))
    assert headline(report).endswith(
        "all fused exactly: the fused weights of 1 do not quantize well (C1), 1 loses 3 dB or more by fusion."
    )


def test_noise_that_arrives_is_told_from_noise_that_the_block_makes() -> None:
    found = block("stage1.1", **LOST, alone=sums(30.0))
    assert verdict_words(found) == "more noise arrives"
    assert "what arrives from blocks before makes most of the added noise" in next(iter(block_sentences(found)))
    assert headline(replace(branch_report(), blocks=(found,))).endswith("weights and activations quantize well.")


def test_the_sum_is_called_wide_only_where_it_is_wider_than_its_branches() -> None:
    assert "8 times as much" in " ".join(block_sentences(branch_report().block("stage1.2")))
    narrow = block("stage1.2", sum=branch_report().block("stage1.0").sum)
    assert "times as much" not in " ".join(block_sentences(narrow))


def test_beta_is_spoken_of_where_it_is_off_and_a_condition_fails() -> None:
    sentences = list(block_sentences(branch_report().block("stage1.2")))
    assert sentences[-1] == (
        "stage1.2: beta does not cancel the mean of stage1.2.rbr_identity; its distance from -E(identity)/2, over the "
        "size of that, is 1.75 for stage1.2.rbr_1x1 (up to 0.5 is near)."
    )
    well = block("stage1.2", c1=Condition(40.0), c2=Condition(40.0), after=sums(31.0))
    assert list(block_sentences(well)) == []


def test_the_headline_counts_blocks() -> None:
    report = branch_report()
    assert headline(report) == (
        "4 blocks of parallel linear branches, 3 fused exactly: the fused weights of 2 do not quantize well (C1), the "
        "activations of 1 do not (C2)."
    )
    assert headline(replace(report, blocks=())) == "The network has no parallel linear branches that a sum joins."
    assert headline(replace(report, blocks=report.blocks[:1])) == (
        "1 block of parallel linear branches, fused exactly: its weights and activations quantize well."
    )
    assert headline(replace(report, blocks=report.blocks[1:2])) == (
        "1 block of parallel linear branches, fused exactly: its fused weight does not quantize well (C1)."
    )
    assert headline(replace(report, blocks=report.blocks[3:])) == (
        "1 block of parallel linear branches, which no one convolution replaces."
    )


@pytest.mark.parametrize(
    ("name", "settings"), [("stage1.0", []), ("stage1.1", ["S2"]), ("stage1.2", ["S3", "S4"]), ("stage2.0", [])]
)
def test_advice_follows_the_branch_at_fault(name: str, settings: list[str]) -> None:
    report = branch_report()
    sentences = list(advice_sentences(replace(report, blocks=(report.block(name),))))
    assert [sentence[:2] for sentence in sentences[:-1]] == settings
    assert not sentences or "were not tried here" in sentences[-1]


def test_a_block_with_a_norm_behind_its_sum_is_not_told_to_get_one() -> None:
    report = branch_report()
    found = report.block("stage1.2")
    normed = replace(found, norm=found.branches[0].norm, c1=Condition(40.0))
    assert list(advice_sentences(replace(report, blocks=(normed,)))) == []


def test_an_identity_that_is_at_fault_for_the_activations_asks_for_s2_alone() -> None:
    report = branch_report()
    found = report.block("stage1.2")
    faint = replace(found, c1=Condition(40.0), c2=Condition(9.0, at_fault="stage1.2.rbr_identity"))
    sentences = list(advice_sentences(replace(report, blocks=(faint,))))
    assert [sentence[:2] for sentence in sentences[:-1]] == ["S2"]
    assert "the output has 9.0 dB after rounding of the block's input and output" in next(iter(block_sentences(faint)))


def test_advice_on_several_blocks_is_in_the_plural() -> None:
    report = branch_report()
    twice = (report.block("stage1.1"), replace(report.block("stage1.1"), name="stage1.3"))
    first = next(iter(advice_sentences(replace(report, blocks=twice))))
    assert first == (
        "S2: train without the BatchNorm on the identity of 2 blocks, where the figure without that branch is better "
        "by 6 dB or more; its gain is then 1."
    )
