"""What only training changes: the settings S2 to S4 of QARepVGG (arXiv 2212.01593), where the figures ask for them."""

from collections.abc import Iterator

from qdiag.core.measures.branches import BLAME_DB, BranchBlock, BranchesReport, BranchKind
from qdiag.reading.words.branches.verdicts import failing
from qdiag.reading.words.numbers import count_noun


def advice_sentences(report: BranchesReport) -> Iterator[str]:
    """One sentence for each change of the training that what was measured asks for; none where all blocks are well.

    None of them was measured here: each says what the source reports, and what to try.
    """
    identity = [block for block in report.blocks if _blames_norm(block, "identity")]
    pointwise = [block for block in report.blocks if _blames_norm(block, "1x1")]
    wide = [block for block in report.blocks if _is_unnormed_sum(block)]
    if identity:
        yield (
            f"S2: train without the BatchNorm on the identity of {_blocks(len(identity))}, where the figure "
            f"without that branch is better by {BLAME_DB:g} dB or more; its gain is then 1."
        )
    if pointwise:
        yield (
            f"S3: train without the BatchNorm on the 1x1 branch of {_blocks(len(pointwise))}, where the "
            f"figure without that branch is better by {BLAME_DB:g} dB or more."
        )
    if wide or pointwise:
        places = len({block.name for block in (*wide, *pointwise)})
        yield (
            f"S4 (QARepVGG): train with a BatchNorm behind the sum of {_blocks(places)}, and with none on the "
            "identity and 1x1 branches; that BatchNorm sets the variance of the sum."
        )
    if identity or pointwise or wide:
        yield (
            "These change the training and were not tried here. The source has RepVGG-A0 at 52.2 % in int8, and S4 at "
            "70.4 % (arXiv 2212.01593, figure 1)."
        )


def _blames_norm(block: BranchBlock, kind: BranchKind) -> bool:
    """A branch of that kind is at fault, and has a BatchNorm that training could leave out."""
    names = {condition.at_fault for _, condition in failing(block)}
    return any(b.name in names and b.kind == kind and b.norm is not None for b in block.branches)


def _is_unnormed_sum(block: BranchBlock) -> bool:
    """The activations do not quantize well, no BatchNorm follows the sum, and the identity is not what is at fault."""
    at_fault = [condition.at_fault for noun, condition in failing(block) if noun == "activations"]
    is_identity = block.identity is not None and block.identity.name in at_fault
    return block.norm is None and bool(at_fault) and not is_identity


def _blocks(count: int) -> str:
    return count_noun(count, "block")
