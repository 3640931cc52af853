"""Pairs of layers between which a scale per channel can be moved: A's output, by ways that let it through, feeds B.

A factor 1/s > 0 at an output channel of A comes through everything positively homogeneous, f(x/s) = f(x)/s: ReLU, leaky
ReLU and PReLU, pooling, interpolation, padding with zeros, moving values. A bound such as ReLU6's lets it through as
long as no value reaches it before or after; that is a limit on s which the calibration data give.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import fx

from qdiag.capture.ops import clamp_bounds, kind_and_policy, operation_name
from qdiag.core.graph import Layer
from qdiag.errors import RepairRefused
from qdiag.repairs.weighted_layer import WeightedLayer, is_weighted, readers, shape_of, weighted_layer
from qdiag.simulate.case import Case

_HOMOGENEOUS = {"relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "clip", "leaky_relu"}
_HOMOGENEOUS |= {"prelu", "_prelu_kernel", "dropout", "clone", "contiguous", "detach", "alias", "to", "_to_copy"}
_SPATIAL = {"max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d"}
_SPATIAL |= {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d"}
_SPATIAL |= {"upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_linear1d"}
_SPATIAL |= {"upsample_trilinear3d", "reflection_pad1d", "reflection_pad2d", "replication_pad2d", "mean", "amax"}
_STOPS_SHIFT = {"avg_pool1d", "avg_pool2d", "avg_pool3d", "constant_pad_nd", "pad"}
"""A constant added to all values does not come through where zeros are added at the border."""
_RESHAPES = {"flatten", "view", "reshape", "squeeze", "unsqueeze"}


@dataclass(frozen=True)
class Pair:
    """Two layers and the way between them.

    Attributes:
        repeats: inputs of `second` per channel of `first`: a flattened map has one for every pixel.
        clamps: layers that end with a bounded clamp on the way, by their names in the case's graph.
        kept: channels of `first` that are to stay as they are.
        passes_shift: a constant per channel comes through too, and `second` sees it everywhere.
    """

    first: WeightedLayer
    second: WeightedLayer
    first_layer: Layer
    second_layer: Layer
    channels: int
    repeats: int
    clamps: tuple[Layer, ...]
    passes_shift: bool
    kept: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Pairs:
    """All pairs of a case in graph order; `refused` says by layer name why its output cannot be scaled."""

    found: tuple[Pair, ...]
    refused: dict[str, str]

    def touching(self, names: set[str]) -> tuple[Pair, ...]:
        """The pairs that a named layer is one of."""
        return tuple(pair for pair in self.found if {pair.first_layer.name, pair.second_layer.name} & names)

    def around(self, names: set[str]) -> tuple[Pair, ...]:
        """The pairs of the whole chains that the named layers lie in."""
        chosen = self.touching(names)
        ends = {layer.name for pair in chosen for layer in (pair.first_layer, pair.second_layer)}
        return chosen if ends <= names else self.around(names | ends)


def find_pairs(case: Case, spared: Mapping[str, frozenset[int]] | None = None) -> Pairs:
    """Every pair of layers of the captured program, and why the others are none.

    Args:
        spared: channels by layer that are to stay as they are.
    """
    by_node = {node: layer for layer in case.network.graph.layers for node in layer.nodes}
    found: list[Pair] = []
    refused: dict[str, str] = {}
    for node in case.program.graph.nodes:
        layer = by_node.get(node.name)
        if layer is None or not is_weighted(node):
            continue
        try:
            pair = _Walk(case, by_node, node, layer).pair()
            found.append(replace(pair, kept=_kept(pair, spared or {})))
        except RepairRefused as reason:
            refused[layer.name] = reason.message
    return Pairs(tuple(found), refused)


def _kept(pair: Pair, spared: Mapping[str, frozenset[int]]) -> frozenset[int]:
    """Channels between the two layers that are spared; an input of a depthwise layer is one of its outputs."""
    ends = [pair.first_layer.name, *([pair.second_layer.name] if pair.second_layer.is_depthwise else [])]
    return frozenset(c for name in ends for c in spared.get(name, ()) if c < pair.channels)


class _Walk:
    """From one layer to the next, through everything that lets a scale through."""

    def __init__(self, case: Case, by_node: dict[str, Layer], node: fx.Node, layer: Layer) -> None:
        self._program, self._by_node, self._layer = case.program, by_node, layer
        self._folds = case.scheme.fold_batchnorm
        self._first = weighted_layer(case.program, node, folds=self._folds)
        shape = shape_of(node)
        self._axis = layer.channel_axis(len(shape))
        self._channels = shape[self._axis] if self._axis is not None else 0
        self._repeats, self._shifts = 1, True
        self._clamps: list[Layer] = []

    def pair(self) -> Pair:
        """The pair; raises `RepairRefused` where the way ends otherwise."""
        if self._first.norm is not None and not self._folds:
            raise RepairRefused("the BatchNorm after it is not folded, so a scale would not reach its weight")
        if self._first.norm is not None and self._first.gamma is None:
            raise RepairRefused("the BatchNorm after it has no gamma to scale")
        if self._channels <= 0:
            raise RepairRefused("its shape is not known")
        for at, user in self._way():
            if is_weighted(user):
                return self._closed(at, user)
            if kind_and_policy(user)[0] == "clamp":
                self._clamp(user)
            self._pass(at, user)
        raise RepairRefused("its output is an output of the network")

    def _way(self) -> Iterator[tuple[fx.Node, fx.Node]]:
        at = self._first.end
        while True:
            users = readers(at)
            if not users or any(user.op == "output" for user in users):
                raise RepairRefused("its output is an output of the network")
            if len(users) > 1:
                raise RepairRefused(f"its output is read by {len(users)} operations")
            if users[0].args[:1] != (at,) or at in users[0].args[1:]:
                raise RepairRefused(f"its output meets other values in {operation_name(users[0])}")
            yield at, users[0]
            at = users[0]

    def _closed(self, at: fx.Node, user: fx.Node) -> Pair:
        try:
            second = weighted_layer(self._program, user, folds=self._folds)
        except RepairRefused as reason:
            raise RepairRefused(f"of the layer after it: {reason.message}") from None
        layer, sizes = self._by_node[user.name], shape_of(at)
        wanted = layer.channel_axis(len(sizes))
        if wanted is None or self._axis != wanted or sizes[wanted] != self._channels * self._repeats:
            raise RepairRefused("its channels are not the inputs of the layer after it")
        return Pair(
            first=self._first,
            second=second,
            first_layer=self._layer,
            second_layer=layer,
            channels=self._channels,
            repeats=self._repeats,
            clamps=tuple(self._clamps),
            passes_shift=self._shifts and not second.is_padded,
        )

    def _clamp(self, user: fx.Node) -> None:
        layer = self._by_node.get(user.name)
        bounds = layer.clamp if layer is not None else clamp_bounds(user)
        if layer is None or bounds is None or bounds[0] > 0.0 or bounds[1] < 0.0:
            raise RepairRefused(f"{operation_name(user)} after it does not let a scale through")
        if any(bound != 0.0 and math.isfinite(bound) for bound in bounds):
            self._clamps.append(layer)

    def _pass(self, at: fx.Node, user: fx.Node) -> None:
        name, before, after = operation_name(user), shape_of(at), shape_of(user)
        if name in _HOMOGENEOUS:
            return
        keeps_channels = self._axis == 1 and len(before) > 2 and after[1:2] == before[1:2]
        if name in _SPATIAL and keeps_channels and not _reduces_channels(user, len(before)):
            return
        if name in _STOPS_SHIFT and keeps_channels and not _pads_with_a_value(user):
            self._shifts = self._shifts and name.startswith("avg_pool") and not _pool_padding(user)
            return
        if name in _RESHAPES and self._axis == 1 and self._reshaped(before, after):
            return
        raise RepairRefused(f"{operation_name(user)} after it does not let a scale through")

    def _reshaped(self, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
        """Row by row: samples stay apart, and channels stay apart or become runs of inputs."""
        if -1 in (*before[1:], *after[1:]) or math.prod(before[1:]) != math.prod(after[1:]) or len(after) < 2:
            return False
        if after[1] == before[1]:
            return True
        if len(after) != 2:
            return False
        self._repeats *= math.prod(before[2:])
        return True


def _reduces_channels(node: fx.Node, rank: int) -> bool:
    """A mean or maximum over something else than pixels."""
    if operation_name(node) not in ("mean", "amax"):
        return False
    axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return not isinstance(axes, list | tuple) or any(not isinstance(a, int) or a % rank < 2 for a in axes)


def _pads_with_a_value(node: fx.Node) -> bool:
    """Padding with something other than zero; pooling has no such value."""
    name = operation_name(node)
    if name == "constant_pad_nd":
        value = node.args[2] if len(node.args) > 2 else node.kwargs.get("value", 0)
        return bool(value)
    if name == "pad":
        mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
        value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
        return mode == "constant" and bool(value)
    return False


def _pool_padding(node: fx.Node) -> bool:
    """An average pool that takes zeros in at the border: avg_poolNd(x, kernel, stride, padding, ...)."""
    padding = node.args[3] if len(node.args) > 3 else node.kwargs.get("padding", 0)
    return any(padding) if isinstance(padding, list | tuple) else bool(padding)
