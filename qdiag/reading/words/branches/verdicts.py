"""What the two conditions of a block come to, in a word for tables and in a sentence for all else."""

import math
from collections.abc import Iterator

from qdiag.core.listed import listed
from qdiag.core.measures.branches import (
    ALIGNED_DISTANCE,
    BLAME_DB,
    FUSION_LOSS_DB,
    Branch,
    BranchBlock,
    BranchesReport,
    Condition,
)
from qdiag.reading.words.numbers import count_noun, number, significant

_CHANNELS_AT_MOST = 3


def verdict_words(block: BranchBlock) -> str:
    """`quantizes well`, `weights: rbr_identity`, `weights, activations`, `loses by fusion`, ... for a table."""
    if block.fusion is None:
        return "not fused"
    failed = failing(block)
    if not failed and block.has_fusion_loss:
        return "loses by fusion" if block.makes_fusion_loss else "more noise arrives"
    if not failed:
        known = [condition for condition in (block.c1, block.c2) if condition is not None]
        return "quantizes well" if any(condition.holds for condition in known) else "nothing is quantized"
    nouns = ", ".join(noun for noun, _ in failed)
    named = {short_name(block, c.at_fault) for _, c in failed if c.at_fault is not None}
    return nouns + (f": {', '.join(sorted(named))}" if named else "")


def short_name(block: BranchBlock, branch: str) -> str:
    """The branch without the path of its block."""
    return branch.removeprefix(f"{block.name}.")


def failing(block: BranchBlock) -> list[tuple[str, Condition]]:
    """The conditions that do not hold, with the noun of what each is about."""
    both = (("weights", block.c1), ("activations", block.c2))
    return [(noun, condition) for noun, condition in both if condition is not None and condition.holds is False]


def headline(report: BranchesReport) -> str:
    """How many blocks there are, and in how many which condition does not hold."""
    blocks = report.blocks
    if not blocks:
        return "The network has no parallel linear branches that a sum joins."
    found = f"{count_noun(len(blocks), 'block')} of parallel linear branches"
    fused = report.fused
    is_one = len(blocks) == 1
    if not fused:
        return (
            f"{found}, {'which no one convolution replaces' if is_one else 'none of which one convolution replaces'}."
        )
    which = "" if is_one else "all " if len(fused) == len(blocks) else f"{len(fused)} "
    nouns = [noun for block in fused for noun, _ in failing(block)]
    weights, activations = nouns.count("weights"), nouns.count("activations")
    losses = sum(block.makes_fusion_loss and not failing(block) for block in fused)
    if not nouns and not losses:
        return f"{found}, {which}fused exactly: {'its' if is_one else 'their'} weights and activations quantize well."
    if is_one:
        both = ["its fused weight does not quantize well (C1)"] * weights
        both += ["its activations do not quantize well (C2)"] * activations
        both += [f"it loses {FUSION_LOSS_DB:g} dB or more by fusion"] * losses
    else:
        both = [f"the fused weights of {weights} do not quantize well (C1)"] if weights else []
        does = "do not" if weights else "do not quantize well"
        both += [f"the activations of {activations} {does} (C2)"] if activations else []
        both += (
            [f"{losses} {'loses' if losses == 1 else 'lose'} {FUSION_LOSS_DB:g} dB or more by fusion"] if losses else []
        )
    return f"{found}, {which}fused exactly: {', '.join(both)}."


def block_sentences(block: BranchBlock) -> Iterator[str]:
    """Full sentences on a block that was not fused, that breaks a condition, or that has less SQNR once it is fused;
    none on the others."""
    if block.refused is not None:
        yield f"{block.name} stays as it is: {block.refused}."
    for noun, condition in failing(block):
        yield f"{block.name}: {_condition_words(block, noun, condition)}."
    if block.has_fusion_loss and not failing(block) and block.before is not None and block.after is not None:
        where = (
            "the fused convolution itself makes" if block.makes_fusion_loss else "what arrives from blocks before makes"
        )
        yield (
            f"{block.name}: fusion takes {number(block.fusion_loss_db)} dB from the block's end, "
            f"{number(block.before.sqnr_db)} to {number(block.after.sqnr_db)} dB, and {where} most of the added noise."
        )
    if failing(block):
        yield from _alignment_sentences(block)


def _condition_words(block: BranchBlock, noun: str, condition: Condition) -> str:
    have = f"{_what(block, noun, condition)}, and {number(condition.limit_db)} dB are enough"
    more = _inflation_words(block) if noun == "activations" else ""
    if condition.at_fault is None:
        return f"{have}; no single branch accounts for it{more}"
    branch = block.branch(condition.at_fault)
    known = noun == "weights" and not math.isnan(branch.without_sqnr_db)
    gain = f"{number(branch.without_sqnr_db)} dB" if known else f"at least {BLAME_DB:g} dB more"
    return f"{have}; without {branch.name}{_norm_words(branch)} it would have {gain}{more}"


def _what(block: BranchBlock, noun: str, condition: Condition) -> str:
    """What has how much; of the two figures of C1, the lower one."""
    if noun == "activations":
        return f"the output has {number(condition.sqnr_db)} dB after rounding of the block's input and output"
    if block.weight_output_sqnr_db == condition.sqnr_db:
        return f"the output has {number(condition.sqnr_db)} dB after rounding of the fused weight alone"
    return f"the median channel of the fused weight has {number(condition.sqnr_db)} dB after rounding"


def _norm_words(branch: Branch) -> str:
    norm = branch.norm
    if norm is None or norm.widest_channel is None:
        return ""
    typical = sorted(abs(gain) for gain in norm.gain)[len(norm.gain) // 2]
    return (
        f", whose BatchNorm multiplies channel {norm.widest_channel} by {significant(norm.gain_max_abs)} "
        f"and the median channel by {significant(typical)},"
    )


def _inflation_words(block: BranchBlock) -> str:
    inflation = block.variance_inflation
    if math.isnan(inflation) or inflation <= 1.0:
        return ""
    return f"; the sum varies {significant(inflation)} times as much as its branches would apart"


def _alignment_sentences(block: BranchBlock) -> Iterator[str]:
    if block.alignment is None:
        return
    off = [branch for branch in block.alignment.branches if not branch.is_aligned]
    if off:
        figures = listed([f"{significant(one.distance)} for {one.branch}" for one in off], _CHANNELS_AT_MOST)
        yield (
            f"{block.name}: beta does not cancel the mean of {block.alignment.identity}; its distance from "
            f"-E(identity)/2, over the size of that, is {figures} (up to {ALIGNED_DISTANCE:g} is near)."
        )
