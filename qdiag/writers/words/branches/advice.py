"""What only training changes: the settings S2 to S4 of QARepVGG (arXiv 2212.01593), where the figures ask for them."""

from collections.abc import Iterator

from qdiag.core.measures.branches import BranchBlock, BranchesReport
from qdiag.writers.words.branches.verdicts import failing
from qdiag.writers.words.numbers import count_noun


def advice_sentences(report: BranchesReport) -> Iterator[str]:
    """One sentence for each change of the training that what was measured asks for; none where all blocks are well.

    None of them was measured here: each says what the source reports, and what to try.
    """
    identity = [block for block in report.blocks if _blames(block, "weights", {"identity"}, is_normed=True)]
    pointwise = [block for block in report.blocks if _blames(block, "weights", {"1x1"}, is_normed=True)]
    wide = [block for block in report.blocks if _is_unnormed_sum(block)]
    if identity:
        yield (
            f"S2: train without the BatchNorm on the identity of {_blocks(len(identity))}, where the fused weight "
            "rounds far better without that branch; its gain is then 1."
        )
    if pointwise:
        yield (
            f"S3: train without the BatchNorm on the 1x1 branch of {_blocks(len(pointwise))}, where the fused weight "
            "rounds far better without that branch."
        )
    if wide or pointwise:
        places = len({block.name for block in (*wide, *pointwise)})
        yield (
            f"S4 (QARepVGG): train with a BatchNorm behind the sum of {_blocks(places)}, and with none on its identity "
            "and 1x1 branches; that BatchNorm sets the variance of the sum."
        )
    if identity or pointwise or wide:
        yield (
            "These change the training and were not tried here. The source has RepVGG-A0 at 52.2 % in int8, and S4 at "
            "70.4 % (arXiv 2212.01593, figure 1)."
        )


def _blames(block: BranchBlock, noun: str, kinds: set[str], *, is_normed: bool) -> bool:
    names = {condition.at_fault for what, condition in failing(block) if what == noun}
    return any(b.name in names and b.kind in kinds and (b.norm is not None) == is_normed for b in block.branches)


def _is_unnormed_sum(block: BranchBlock) -> bool:
    return block.norm is None and any(noun == "activations" for noun, _ in failing(block))


def _blocks(count: int) -> str:
    return count_noun(count, "block")
