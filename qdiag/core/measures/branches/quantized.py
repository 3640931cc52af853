"""A block inside the quantized network: its layers there, and what rounding leaves of its output."""

import math
from collections.abc import Sequence

from qdiag.core.measures.branches.block import BranchBlock
from qdiag.core.measures.branches.branch import Activations
from qdiag.core.measures.records import OpRecord


def layers_of_block(block: BranchBlock, records: Sequence[OpRecord]) -> tuple[str, ...]:
    """The sum, and every layer between it and what all branches read: each of them is quantized by itself."""
    by_name = {record.name: record for record in records}
    found: list[str] = []
    waiting = [block.layer]
    while waiting:
        name = waiting.pop(0)
        if name in by_name and name != block.source and name not in found:
            found.append(name)
            waiting += by_name[name].inputs
    return tuple(found)


def rounding_db(block: BranchBlock, records: Sequence[OpRecord], seen: Activations, variance: float) -> float:
    """What rounding of the block's output alone leaves of a variance; infinite where the output stays in float.

    Args:
        seen: the output.
    """
    record = next((record for record in records if record.name == block.layer), None)
    if record is None or record.quantizer is None:
        return math.inf
    noise = record.quantizer.expected_noise_power(seen.range, seen.range.power)
    if not noise > 0.0 or math.isnan(variance):
        return math.inf
    return 10.0 * math.log10(variance / noise) if variance > 0.0 else -math.inf
