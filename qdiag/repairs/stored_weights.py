"""Weights whose range is stored beside them, in fake quantizers of the network: a repair that moves them is refused.

The file that would be written quantizes them with the range that they had before, wherever it runs.
"""

from collections.abc import Iterable, Sequence

import torch

from qdiag.core.listed import listed
from qdiag.core.measures.value_ranges.stored_range import StoredRange
from qdiag.core.tensor_scheme import TensorScheme
from qdiag.errors import RepairRefused
from qdiag.simulate.case import Case

_HINT = "repair the network in float, before it is prepared for training; or train it on with its observers on"
_RANGES = ".weight_fake_quant.scale"


def check_stored(ranges: Sequence[StoredRange], before: Case, after: Case) -> None:
    """Compares the folded weights of both cases.

    Args:
        ranges: the fake quantizers of the network.

    Raises:
        RepairRefused: one that has a stored range is another one after the repair.
    """
    names = dict.fromkeys(one.layer for one in ranges if one.kind == "weight" and one.layer is not None)
    moved = [name for name in names if _moves(name, before, after)]
    if moved:
        raise _refusal(moved)


def check_given(before: Case, after: Case) -> None:
    """Compares the folded weights of both cases where the scheme of the second one gives their range.

    So does the scheme of a network that stores ranges.

    Raises:
        RepairRefused: such a weight is another one after the repair, under the range of the old one.
    """
    if not after.scheme.layers and not _has_range(after.scheme.weights):
        return
    layers, both = before.network.graph.layers, {layer.name for layer in after.network.graph.layers}
    names = [layer.name for layer in layers if layer.weight is not None and layer.name in both]
    moved = [name for name in names if _has_range(after.scheme.weights_of(name)) and _moves(name, before, after)]
    if moved:
        what = "the range of this weight is given" if len(moved) == 1 else "the ranges of these weights are given"
        raise RepairRefused(f"{what}, and would no longer fit", at=listed(moved, 3))


def _has_range(scheme: TensorScheme) -> bool:
    return scheme.range is not None or scheme.channel_ranges is not None


def check_stored_names(names: Iterable[str], changed: Iterable[str]) -> None:
    """The same from a checkpoint alone.

    Args:
        names: of all its tensors. changed: of those that the repair changes.

    Raises:
        RepairRefused: it has ranges of weights, and the repair would change what they are folded with.
    """
    owners = {name.removesuffix(_RANGES) for name in names if name.endswith(_RANGES)}
    moved = [owner for owner in sorted(owners) if any(name.startswith(f"{owner}.") for name in changed)]
    if moved:
        raise _refusal(moved)


def _refusal(moved: Sequence[str]) -> RepairRefused:
    what = "the range of this weight" if len(moved) == 1 else "the ranges of these weights"
    return RepairRefused(
        f"the network stores {what}, which it would no longer fit", at=listed(list(moved), 3), hint=_HINT
    )


def _moves(name: str, before: Case, after: Case) -> bool:
    pairs = []
    for case in (before, after):
        layer = case.network.graph.layer(name)
        if layer.weight is None:
            return False
        pairs.append(case.network.program.constants[layer.weight])
    return pairs[0] is not pairs[1] and not torch.equal(pairs[0], pairs[1])
