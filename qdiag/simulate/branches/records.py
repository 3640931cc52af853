"""From blocks, their values and a fused network to records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.capture.branches.block import BlockNorm, BranchPath, LinearBlock
from qdiag.capture.branches.fuse import FusedProgram
from qdiag.core.graph import Layer, OpGraph
from qdiag.core.measures.branches import (
    BLAME_DB,
    BetaAlignment,
    BetaDistance,
    Branch,
    BranchBlock,
    Condition,
    Fusion,
    NormFigures,
)
from qdiag.core.measures.ranges import TensorRange
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import observe
from qdiag.simulate.branches.values import BlockValues, Ending
from qdiag.simulate.branches.weights import lower, rest_of, weight_db
from qdiag.simulate.case import Case
from qdiag.simulate.facts.weight import identity_and_others

_CONVOLUTIONS = ("kxk", "1x1")


def layer_of(graph: OpGraph, *nodes: str) -> Layer | None:
    """The layer that the first of these graph nodes belongs to that belongs to any."""
    for node in nodes:
        for layer in graph.layers:
            if node in layer.nodes:
                return layer
    return None


def endings(case: Case, fused: FusedProgram) -> dict[str, Ending]:
    """How a fused case ends its blocks, by their names."""
    found = {}
    for name, node in fused.nodes.items():
        layer = layer_of(case.network.graph, node)
        if layer is not None:
            plan, before = case.plan.layers[layer.name], next(iter(layer.inputs), None)
            source = case.plan.layers[before].output if before is not None else None
            schemes = case.scheme.activations_of(layer.name), case.scheme.weights_of(layer.name)
            found[name] = Ending(source, plan.output, layer.clamp, *schemes)
    return found


def block_record(
    block: LinearBlock, case: Case, fused_case: Case | None, fused: FusedProgram, values: BlockValues
) -> BranchBlock:
    """The record of one block; its errors in the quantized networks are not known here.

    Args:
        case: the untreated one. fused_case: with the blocks fused; None where none could be.
    """
    end = layer_of(case.network.graph, block.end.name, block.root.name)
    source = layer_of(case.network.graph, block.source.name)
    node = fused.nodes.get(block.name)
    layer = layer_of(fused_case.network.graph, node) if fused_case is not None and node is not None else None
    scheme = fused_case.scheme.weights_of(layer.name) if fused_case is not None and layer is not None else None
    channel_db = weight_db(block.fused.kernel, scheme) if block.fused is not None and scheme is not None else math.nan
    rounding = lower([channel_db, values.weight_rounding_db])
    branches = tuple(_branch(block, path, scheme, values) for path in block.paths)
    return BranchBlock(
        name=block.name,
        source=source.name if source is not None else block.source.name,
        layer=end.name if end is not None else block.end.name,
        branches=branches,
        fused_layer=layer.name if layer is not None else None,
        norm=_norm(block.norm) if block.norm is not None else None,
        sum=values.sum,
        output=values.output,
        fusion=_fusion(block, fused.modules[block.name], values) if block.fused is not None else None,
        refused=block.refused,
        c1=_condition(rounding, {one.name: one.without_sqnr_db for one in branches}) if layer is not None else None,
        c2=_condition(values.rounding_db, _without(values, fused_case, layer)) if layer is not None else None,
        alignment=_alignment(branches),
        weight_channel_sqnr_db=channel_db,
        weight_output_sqnr_db=values.weight_rounding_db,
    )


def _branch(block: LinearBlock, path: BranchPath, scheme: TensorScheme | None, values: BlockValues) -> Branch:
    share = path.whole
    weight = share.kernel if share is not None else None
    if weight is not None and block.norm is not None:
        weight = weight * block.norm.affine.gain.view(-1, *[1] * (weight.ndim - 1))
    without = math.nan
    rest = rest_of(block, path) if block.fused is not None and share is not None and scheme is not None else None
    if rest is not None and scheme is not None:
        seen = values.without.get(path.name)
        without = lower([weight_db(rest.kernel, scheme), seen.weight_rounding_db if seen is not None else math.nan])
    return Branch(
        name=path.name,
        kind=path.kind,
        ops=path.ops,
        kernel=share.taps if share is not None else (),
        norm=_norm(path.norm) if path.norm is not None else None,
        constant=tuple(share.constant.tolist()) if share is not None else (),
        own_weight=_range(path.own.kernel) if path.own is not None else None,
        weight=_range(weight) if weight is not None else None,
        weight_max_abs=tuple(weight.abs().flatten(1).amax(1).tolist()) if weight is not None else (),
        without_sqnr_db=without,
        activations=values.branches.get(path.name),
    )


def _without(values: BlockValues, case: Case | None, layer: Layer | None) -> dict[str, float]:
    """SQNR of the block's output by rounding of its input and output, if one branch were not in it and the range of
    the output were chosen anew."""
    if case is None or layer is None:
        return {}
    scheme, found = case.scheme.activations_of(layer.name), dict[str, float]()
    for name, rest in values.without.items():
        seen = rest.statistics.range
        noise = rest.input_noise
        try:
            if not scheme.is_float:
                quantizer = CALIBRATORS[scheme.calibrator].activation(rest.statistics, scheme)
                noise += quantizer.record().expected_noise_power(seen, seen.power)
        except CalibrationError:
            continue
        if noise > 0.0 and seen.power > 0.0:
            found[name] = 10.0 * math.log10(seen.power / noise)
    return found


def _condition(sqnr_db: float, without: Mapping[str, float]) -> Condition:
    """Where it does not hold, the branch without which it would be best is at fault, if it is better by enough."""
    condition = Condition(sqnr_db)
    better = {name: db for name, db in without.items() if db >= sqnr_db + BLAME_DB}
    if condition.holds is not False or not better:
        return condition
    return replace(condition, at_fault=max(better, key=better.__getitem__))


def _fusion(block: LinearBlock, module: str, values: BlockValues) -> Fusion:
    assert block.fused is not None
    one = block.fused
    return Fusion(
        weight_name=f"{module}.weight",
        bias_name=f"{module}.bias",
        weight_shape=tuple(one.kernel.shape),
        stride=one.stride,
        padding=tuple(zip(one.before, one.after, strict=True)),
        dilation=one.dilation,
        groups=one.groups,
        padding_mode=one.mode,
        weight=_range(one.kernel),
        weight_max_abs=tuple(one.kernel.abs().flatten(1).amax(1).tolist()),
        max_abs_delta=values.max_abs_delta,
        relative_delta=values.max_abs_delta / values.largest if values.largest else 0.0,
        identity_over_others=_over_others(one.kernel, one.groups),
    )


def _over_others(kernel: Tensor, groups: int) -> float:
    pairs = zip(*identity_and_others(kernel, groups), strict=True)
    return max((own / rest if rest > 0.0 else math.inf for own, rest in pairs if own > 0.0), default=math.nan)


def _alignment(branches: Sequence[Branch]) -> BetaAlignment | None:
    """beta of every convolution branch beside -E(identity) / 2; None without an identity branch and its values."""
    identity = next((one for one in branches if one.kind == "identity" and one.activations is not None), None)
    if identity is None or identity.activations is None:
        return None
    wanted = torch.tensor(identity.activations.mean, dtype=torch.float64) / -2.0
    betas = {one.name: _beta(one) for one in branches if one.kind in _CONVOLUTIONS}
    scale = float(wanted.square().mean().sqrt())
    first = list(betas.values())[:2]
    return BetaAlignment(
        identity=identity.name,
        wanted=tuple(wanted.tolist()),
        branches=tuple(
            BetaDistance(name, _over(beta - wanted, scale), _correlation(beta, wanted)) for name, beta in betas.items()
        ),
        beta_difference=_over(first[0] - first[1], scale) if len(first) == 2 else math.nan,
    )


def _beta(branch: Branch) -> Tensor:
    """The mean that training gives the branch: beta of its BatchNorm, or what was seen without one."""
    mean = branch.activations.mean if branch.activations is not None else branch.constant
    return torch.tensor(branch.norm.beta if branch.norm is not None else mean, dtype=torch.float64)


def _over(difference: Tensor, scale: float) -> float:
    size = float(difference.square().mean().sqrt())
    return size / scale if scale > 0.0 else (math.inf if size > 0.0 else 0.0)


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(a.square().sum().sqrt() * b.square().sum().sqrt())
    return float((a * b).sum()) / norm if norm > 0.0 else math.nan


def _norm(norm: BlockNorm) -> NormFigures:
    return NormFigures(
        norm.name, tuple(norm.affine.gain.tolist()), tuple(norm.beta.tolist()), tuple(norm.variance.tolist()), norm.eps
    )


def _range(kernel: Tensor) -> TensorRange:
    seen, _ = observe(kernel.float())
    assert seen is not None
    return seen
