"""Blocks of parallel linear branches in a captured graph: by what the operations compute, not by names or modules."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import fx

from qdiag.capture.branches.block import BlockNorm, BranchPath, LinearBlock, PathKind
from qdiag.capture.branches.constants import Constants, sizes_of
from qdiag.capture.branches.dominators import immediate_dominators
from qdiag.capture.branches.naming import block_path, common_path, paths_of, unique
from qdiag.capture.branches.steps import BATCH_NORM, Step, norm_of, step_of
from qdiag.capture.fold import batch_norm_name
from qdiag.capture.ops import is_tensor, kind_and_policy, operation_name
from qdiag.capture.program import Program
from qdiag.numerics.convolutions.conv_map import ConvMap, NotOneConvolutionError, identity_map

_CONTINUING = {"pad", "constant_pad_nd", "slice", "slice_scatter", "select_scatter"}
_CONTINUING |= {f"{way}_pad{d}d" for way in ("reflection", "replication") for d in (1, 2, 3)}
"""Operations that continue or crop an image: no part of what a branch is."""


def find_blocks(program: Program) -> tuple[LinearBlock, ...]:
    """The blocks of a program, BatchNorm not folded, in graph order.

    A block is a sum of two or more branches such that all ways into it lead through one value, nothing but
    convolutions, BatchNorms in eval mode, average pooling, constant scales and padding lies between the two, nothing
    outside reads what lies between, and one branch has a convolution. So a residual connection around an activation
    function is none, nor is a concat, nor a product of two branches.

    Of blocks inside each other the outer one counts, unless no single convolution computes it: then both are given.
    """
    return _Finder(program).blocks()


@dataclass
class _Region:
    """All operations between a value and a sum."""

    source: fx.Node
    root: fx.Node
    steps: dict[fx.Node, Step]
    nodes: set[fx.Node] = field(default_factory=set)

    @property
    def has_convolution(self) -> bool:
        return any(kind_and_policy(node)[0] == "conv" for node in self.steps)


class _Finder:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._constants = Constants(program)
        self._order = {node: i for i, node in enumerate(program.graph.nodes)}
        self._steps: dict[fx.Node, Step | None] = {}
        self._names: Counter[str] = Counter()

    def blocks(self) -> tuple[LinearBlock, ...]:
        dominators = immediate_dominators(self._program.graph, self._constants.data)
        taken: set[fx.Node] = set()
        found: list[LinearBlock] = []
        for node in reversed(list(self._program.graph.nodes)):
            step = self._step(node) if node in self._constants.data and node not in taken else None
            if step is None or not step.is_sum:
                continue
            source = dominators[node]
            while source is not None and source in step.inner:
                source = dominators[source]
            if source is None:
                continue
            region = self._region(source, node)
            if region is None or not region.has_convolution:
                continue
            block = self._block(region)
            found.append(block)
            if block.fused is not None:
                taken |= block.nodes
        found.reverse()
        return tuple(unique(found))

    def _step(self, node: fx.Node) -> Step | None:
        if node not in self._steps:
            self._steps[node] = step_of(node, self._constants)
        return self._steps[node]

    def _region(self, source: fx.Node, root: fx.Node) -> _Region | None:
        """Everything between the two; None where something is not affine, or is read from outside."""
        if len(sizes_of(source)) != len(sizes_of(root)):
            return None
        region = _Region(source, root, {})
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node is source or node in region.steps:
                continue
            step = self._step(node)
            if step is None:
                return None
            region.steps[node] = step
            region.nodes.update((node, *step.inner))
            waiting += step.inputs
        for node in region.nodes - {root}:
            if any(user not in region.nodes and is_tensor(user) for user in node.users):
                return None
        return region

    def _block(self, region: _Region) -> LinearBlock:
        maps = _Maps(region)
        leaves = self._leaves(region)
        paths = [self._path(region, maps, end, factor) for end, factor in leaves]
        norm_node = self._norm_behind(region.root)
        norm = self._norm(norm_node) if norm_node is not None else None
        nodes = region.nodes | ({norm_node} if norm_node is not None else set())
        fused, refused = None, None
        try:
            fused = maps.of(region.root)
            fused = fused.normed(norm.affine) if norm is not None else fused
        except NotOneConvolutionError as reason:
            refused = reason.message
        path = block_path(self._program, nodes, region.root)
        return LinearBlock(
            name=path or region.root.name,
            path=path,
            source=region.source,
            root=region.root,
            end=norm_node or region.root,
            nodes=frozenset(nodes),
            paths=tuple(unique([self._renamed(region, one, path) for one in paths])),
            norm=norm,
            fused=fused,
            refused=refused,
        )

    def _leaves(self, region: _Region) -> list[tuple[fx.Node, float]]:
        """What is added up in the end, sums of sums taken apart, each with its factor, in the order of the graph."""
        found: list[tuple[fx.Node, float]] = []

        def visit(node: fx.Node, factor: float, *, is_root: bool) -> None:
            step = region.steps.get(node)
            is_own = is_root or len([u for u in node.users if is_tensor(u)]) == 1
            if step is not None and is_own and step.is_trivial:
                visit(step.inputs[0], factor, is_root=False)
            elif step is not None and is_own and step.is_sum:
                for one, own in zip(step.inputs, step.factors, strict=True):
                    visit(one, factor * own, is_root=False)
            else:
                found.append((node, factor))

        visit(region.root, 1.0, is_root=True)
        return sorted(found, key=lambda leaf: self._first(region, leaf[0]))

    def _first(self, region: _Region, end: fx.Node) -> int:
        """Where a branch begins in the graph; a bare identity comes last."""
        return min((self._order[node] for node in self._on_path(region, end)), default=len(self._order))

    def _on_path(self, region: _Region, end: fx.Node) -> list[fx.Node]:
        seen: set[fx.Node] = set()
        waiting = [end]
        while waiting:
            node = waiting.pop()
            if node in region.steps and node not in seen:
                seen.add(node)
                waiting += region.steps[node].inputs
        return sorted(seen, key=self._order.__getitem__)

    def _path(self, region: _Region, maps: "_Maps", end: fx.Node, factor: float) -> BranchPath:
        nodes = self._on_path(region, end)
        shown = [node for node in nodes if not region.steps[node].is_trivial]
        last = shown[-1] if shown else end
        norm = self._norm(last) if last.target is BATCH_NORM else None
        own = whole = None
        try:
            whole = maps.of(end).times(factor)
            own = maps.of(last.args[0]) if norm is not None and isinstance(last.args[0], fx.Node) else maps.of(end)
        except NotOneConvolutionError:
            pass
        ops = tuple(name for name in map(operation_name, shown) if name not in _CONTINUING)
        name = common_path(self._program, nodes) if nodes else "identity"
        return BranchPath(name, _kind(shown, region.steps, own), ops, end, factor, norm, own, whole)

    def _renamed(self, region: _Region, one: BranchPath, block: str) -> BranchPath:
        """Called after its first module where its modules have nothing in common but that of the block."""
        if one.name != block:
            return one
        own = [path for path in paths_of(self._program, self._on_path(region, one.end)) if path != block]
        return replace(one, name=next(iter((*own, *one.ops)), "identity"))

    def _norm_behind(self, root: fx.Node) -> fx.Node | None:
        users = [user for user in root.users if user.op == "output" or is_tensor(user)]
        if len(users) != 1 or users[0].target is not BATCH_NORM or users[0].args[0] is not root:
            return None
        return users[0] if self._step(users[0]) is not None else None

    def _norm(self, node: fx.Node) -> BlockNorm:
        affine = norm_of(node, self._constants)
        beta, variance = self._constants.value(node.args[2]), self._constants.value(node.args[4])
        beta = torch.zeros_like(affine.gain) if beta is None else beta.double()
        eps = float(node.args[7])  # type: ignore[arg-type]
        return BlockNorm(node, batch_norm_name(self._program, node), affine, beta, variance.double(), eps)


class _Maps:
    """The map from the source of a region to each of its nodes, made once."""

    def __init__(self, region: _Region) -> None:
        self._region = region
        channels, rank = sizes_of(region.source)[1], len(sizes_of(region.source)) - 2
        self._found: dict[fx.Node, ConvMap] = {region.source: identity_map(channels, rank)}

    def of(self, node: fx.Node) -> ConvMap:
        """Raises `NotOneConvolutionError` where there is none."""
        waiting = [node]
        while waiting:
            at = waiting[-1]
            if at in self._found:
                waiting.pop()
                continue
            step = self._region.steps[at]
            missing = [i for i in step.inputs if i not in self._found]
            waiting += missing
            if not missing:
                self._found[at] = step.map([self._found[i] for i in step.inputs])
        return self._found[node]


def _kind(shown: Sequence[fx.Node], steps: dict[fx.Node, Step], own: ConvMap | None) -> PathKind:
    convolutions = [node for node in shown if kind_and_policy(node)[0] == "conv"]
    pools = [node for node in shown if kind_and_policy(node)[0] == "pool"]
    if len(convolutions) + len(pools) > 1 or any(steps[node].is_sum for node in shown):
        return "sequence"
    if pools:
        return "avg_pool"
    if not convolutions:
        return "identity"
    return "1x1" if own is not None and set(own.taps) == {1} else "kxk"
