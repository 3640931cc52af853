"""The versions of one value that travel through the graph together."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import Arithmetic
from qdiag.simulate.passes.network import Network

REFERENCE, LOCAL, SIMULATED = 0, 1, 2
"""Lanes of the paired pass."""


@dataclass(frozen=True)
class Lane:
    """One way to compute the network.

    Attributes:
        network: its weights and clamps; the graph is the same in all lanes.
        plan: its quantizers; None leaves everything in float.
        is_local: every layer alone: it reads the reference, quantized once by this plan.
        at: names of the layers that it computes by its plan; elsewhere it is the reference. None: all of them.
        arithmetic: of every layer; None takes what the plan's scheme says.
        keeps_gradient: the float inputs ask for their gradient.
        closes: by layer, what becomes of its output in place of clamp and quantizer, with a history of its own; read of
            the reference alone.
    """

    network: Network
    plan: QuantPlan | None = None
    is_local: bool = False
    at: Collection[str] | None = None
    arithmetic: Arithmetic | None = None
    keeps_gradient: bool = False
    closes: Mapping[str, Callable[[Tensor], Tensor]] | None = None

    def plan_at(self, layer: str) -> QuantPlan | None:
        """The plan by which it computes a layer; None computes it as the float network does."""
        return self.plan if self.at is None or layer in self.at else None


@dataclass(slots=True)
class Lanes:
    """One value, in every lane; the first is the reference.

    Attributes:
        is_fresh: nobody else holds these tensors' memory, so it may be written to.
        is_limited: by lane, whether the first thing that closes a layer was done by its operation; empty: nowhere.
    """

    tensors: list[Any]
    is_fresh: bool = False
    is_limited: Sequence[bool] = ()

    @property
    def reference(self) -> Tensor:
        reference: Tensor = self.tensors[REFERENCE]
        return reference


def is_lanes(value: Any) -> bool:
    """For pytree, which would look into lists otherwise."""
    return isinstance(value, Lanes)


def has_lanes(tree: Any) -> bool:
    """True when any leaf is a `Lanes`."""
    return any(map(is_lanes, pytree.tree_leaves(tree, is_leaf=is_lanes)))


def taken_apart(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Leaves of the arguments of an operation, lanes among them, and what makes arguments of others in their place.

    Most operations have lanes and numbers alone, for which pytree takes longer than a small convolution.
    """
    if not kwargs and all(map(_is_leaf, args)):
        return list(args), lambda leaves: (tuple(leaves), {})
    leaves, spec = pytree.tree_flatten((args, kwargs), is_leaf=is_lanes)
    return leaves, lambda leaves: pytree.tree_unflatten(leaves, spec)


def _is_leaf(argument: Any) -> bool:
    """Nothing that holds lanes: lists and tuples of numbers are as good as numbers."""
    if isinstance(argument, list | tuple):
        return all(type(one) in (int, float, bool) for one in argument)
    return not isinstance(argument, dict)


def lanes_in(values: Iterable[Any]) -> list[Lanes]:
    """Every `Lanes` among results of operations."""
    found: list[Lanes] = []
    for value in values:
        if is_lanes(value):
            found.append(value)
        elif isinstance(value, list | tuple | dict):
            found += filter(is_lanes, pytree.tree_leaves(value, is_leaf=is_lanes))
    return found


def pick(tree: Any, lane: int) -> Any:
    """The tree as one lane has it."""
    return pytree.tree_map(lambda leaf: leaf.tensors[lane] if is_lanes(leaf) else leaf, tree, is_leaf=is_lanes)


def join(results: list[Any], *, is_fresh: bool, is_limited: Sequence[bool] = ()) -> Any:
    """Results of one operation by lane: a tensor, or a tuple of tensors; sizes and numbers are the reference's."""
    if isinstance(results[REFERENCE], Tensor):
        return Lanes(results, is_fresh, is_limited)
    if isinstance(results[REFERENCE], tuple | list):
        return tuple(join(list(parts), is_fresh=is_fresh) for parts in zip(*results, strict=True))
    return results[REFERENCE]


def borrowed(value: Any) -> Any:
    """The value marked as not ours to write to."""
    return Lanes(list(value.tensors)) if is_lanes(value) else value
