"""Where a block lies in the network as it was read, and what the one convolution in its place is called."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.core.measures.branches.block import BranchBlock
from qdiag.core.measures.branches.quantized import layers_of_block
from qdiag.core.measures.records import OpRecord


@dataclass(frozen=True, slots=True)
class BlockLayers:
    """A block as a stored diagnosis keeps it, so that it is found again in the fused network.

    Attributes:
        name: of the block. layer: the layer whose output is that of the block.
        inside: the other layers between it and what all branches read.
        convolution: module path of the one convolution in a fused checkpoint. weight_shape: of its weight.
    """

    name: str
    layer: str
    inside: tuple[str, ...]
    convolution: str
    weight_shape: tuple[int, ...]


def block_layers(blocks: Sequence[BranchBlock], records: Sequence[OpRecord]) -> tuple[BlockLayers, ...]:
    """Of the blocks that one convolution replaces, in their order.

    Args:
        records: of the network as it was read.
    """
    names = {record.name for record in records}
    return tuple(
        BlockLayers(
            block.name,
            block.layer,
            layers_of_block(block, records)[1:],
            block.fusion.weight_name.rpartition(".")[0],
            block.fusion.weight_shape,
        )
        for block in blocks
        if block.fusion is not None and block.layer in names
    )
