"""The versions of one value that travel through the graph together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree


@dataclass(slots=True)
class Streams:
    """One tensor, three ways.

    Attributes:
        reference: in the float network.
        local: what a layer that is quantized alone sees or makes: the reference, quantized at the last site.
        simulated: in the quantized network, one per plan.
        is_fresh: nobody else holds these tensors' memory, so it may be written to.
    """

    reference: Tensor
    local: Tensor
    simulated: list[Tensor]
    is_fresh: bool = False


def _is_streams(value: Any) -> bool:
    return isinstance(value, Streams)


def has_streams(tree: Any) -> bool:
    """True when any leaf is a `Streams`."""
    return any(_is_streams(leaf) for leaf in pytree.tree_leaves(tree, is_leaf=_is_streams))


def pick(tree: Any, choose: Callable[[Streams], Tensor]) -> Any:
    """The tree with every `Streams` replaced by one of its tensors."""
    return pytree.tree_map(lambda leaf: choose(leaf) if _is_streams(leaf) else leaf, tree, is_leaf=_is_streams)


def join(reference: Any, local: Any, simulated: list[Any], *, is_fresh: bool) -> Any:
    """Results of one operation as streams: a tensor, or a tuple of tensors; sizes and numbers are the reference's."""
    if isinstance(reference, Tensor):
        return Streams(reference, local, simulated, is_fresh)
    if isinstance(reference, tuple | list):
        return tuple(join(r, local[i], [s[i] for s in simulated], is_fresh=is_fresh) for i, r in enumerate(reference))
    return reference


def first_float(value: Any) -> Streams | None:
    """The first float tensor among the results of an operation."""
    for leaf in pytree.tree_leaves(value, is_leaf=_is_streams):
        if isinstance(leaf, Streams) and leaf.reference.is_floating_point():
            return leaf
    return None
