"""The ranges of all quantizers of a case, at exactly the places where its plan has them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.core.graph import Layer
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from qdiag.core.tensor_scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.block_float import BlockFloat
from qdiag.numerics.quantizers.low_bit import as_it_stands
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.case import Case
from qdiag.train.network.derivatives import LearnedStep
from qdiag.train.network.ranges import FixedRange, FollowedRange, LearnedRange, Range
from qdiag.train.settings import TrainingSettings

_FOLLOWED = ("affine", "power_of_two", "float")


@dataclass(frozen=True)
class RangeTable:
    """The ranges of a case that is being trained.

    Attributes:
        activations: by the layer that owns the quantizer at its output.
        weights: by layer, where they are learned; all others are calibrated on the weight as it is.
    """

    case: Case
    activations: Mapping[str, Range]
    weights: Mapping[str, LearnedRange]

    def output(self, name: str) -> Range | None:
        """Of the quantizer at the output of a layer, its own or a shared one."""
        plan = self.case.plan.layers[name]
        return self.activations[plan.shared_with or name] if plan.output is not None else None

    def weight_quantizer(self, layer: Layer, weight: Tensor, draw: int | None) -> Quantizer | None:
        """Of a weight as it is now; None where the plan leaves it in float.

        Raises:
            CalibrationError: a weight is not finite.

        Args:
            weight: folded, placed. draw: number of the step, for signs that are drawn; None draws as the plan does.
        """
        plan, scheme = self.case.plan.layers[layer.name], self.case.scheme.weights_of(layer.name)
        if plan.weight is None:
            return None
        if layer.name in self.weights:
            return self.weights[layer.name].quantizer
        if layer.weight_format is not None:
            return as_it_stands(weight, layer.weight_format, layer.weight_axis)
        try:
            found = CALIBRATORS[scheme.calibrator].weight(weight, scheme, layer.weight_axis)
        except CalibrationError as error:
            error.at = f"{layer.name}, {layer.weight_name}"
            raise
        if isinstance(found, Binary) and found.seed is not None and draw is not None:
            return replace(found, seed=found.seed + draw)
        return found

    def weight_step(self, layer: Layer, weight: Tensor) -> LearnedStep | None:
        """The step of a weight, where it is learned."""
        own = self.weights.get(layer.name)
        return LearnedStep(own.step, weight.numel() // own.step.numel()) if own is not None else None

    def plan(self, weights: Mapping[str, Quantizer | None]) -> QuantPlan:
        """The plan with the quantizers as they are now.

        Args:
            weights: quantizers of weights by layer.
        """
        layers: dict[str, LayerPlan] = {}
        current = {name: found.quantizer for name, found in self.activations.items()}
        for name, plan in self.case.plan.layers.items():
            output = current[plan.shared_with or name] if plan.output is not None else None
            layers[name] = replace(plan, output=output, weight=weights.get(name))
        return QuantPlan(self.case.scheme, layers)

    def learned(self) -> list[LearnedRange]:
        """All ranges with a step that is a parameter."""
        return [
            found for found in (*self.activations.values(), *self.weights.values()) if isinstance(found, LearnedRange)
        ]

    def scheme(self) -> QuantScheme:
        """The scheme with the ranges as they are now, so that it gives the same quantizers wherever it is used."""
        added = []
        for name, found in self.activations.items():
            if found.bounds is not None:
                added.append(LayerOverride(name, activations=TensorChange(range=found.bounds)))
        for name, weight in self.weights.items():
            if weight.step.ndim:
                change = TensorChange(channel_ranges=weight.channel_bounds)
            else:
                change = TensorChange(range=weight.bounds)
            added.append(LayerOverride(name, weights=change))
        return replace(self.case.scheme, layers=(*self.case.scheme.layers, *added))

    def state(self) -> dict[str, Tensor]:
        """Every number that training changes, by place; written to in order to put it back."""
        kinds: tuple[tuple[str, Mapping[str, Range]], ...] = (
            ("activation", self.activations),
            ("weight", self.weights),
        )
        return {
            f"{kind} {name} {key}": value
            for kind, ranges in kinds
            for name, found in ranges.items()
            for key, value in found.state().items()
        }


def range_table(case: Case, settings: TrainingSettings) -> RangeTable:
    """Ranges that begin where the case is calibrated."""
    device = case.network.device
    activations: dict[str, Range] = {}
    for layer in case.network.graph.sites:
        plan = case.plan.layers[layer.name]
        if plan.output is not None and plan.shared_with is None:
            scheme = case.scheme.activations_of(layer.name)
            activations[layer.name] = _activation(layer, plan.output, scheme, settings, device)
        elif plan.output is None and case.scheme.activations_of(layer.name).scale_name == "e4m3":
            found = _of_blocks(case, layer)
            if found is not None:
                activations[layer.name] = found
    weights: dict[str, LearnedRange] = {}
    for layer in case.network.graph.layers:
        quantizer, scheme = case.plan.layers[layer.name].weight, case.scheme.weights_of(layer.name)
        is_own = layer.weight_format is None and scheme.range is None and scheme.channel_ranges is None
        if settings.ranges == "learned" and is_own and _has_step(quantizer, scheme):
            assert isinstance(quantizer, Affine)
            weights[layer.name] = LearnedRange(scheme, quantizer.to(device))
    return RangeTable(case, activations, weights)


def _activation(
    layer: Layer, quantizer: Quantizer, scheme: TensorScheme, settings: TrainingSettings, device: torch.device
) -> Range:
    is_given = scheme.range is not None or layer.sign_magnitude is not None
    if is_given or scheme.type not in _FOLLOWED or scheme.scale_name == "none":
        return FixedRange(quantizer)
    if settings.ranges == "learned" and _has_step(quantizer, scheme):
        assert isinstance(quantizer, Affine)
        return LearnedRange(scheme, quantizer.to(device))
    record = quantizer.record()
    return FollowedRange(scheme, record.range_min, record.range_max, settings.averaging_constant, device)


def _has_step(quantizer: Quantizer | None, scheme: TensorScheme) -> bool:
    return scheme.type == "affine" and isinstance(quantizer, Affine) and quantizer.granularity != "per_group"


def _of_blocks(case: Case, layer: Layer) -> Range | None:
    """The largest value that the scale of a tensor in blocks was made for, so that it stays."""
    seen = case.observations.get(layer.name)
    scheme = case.scheme.activations_of(layer.name)
    if seen is None or not scheme.is_block or scheme.range is not None:
        return None
    quantizer = CALIBRATORS[scheme.calibrator].activation(seen.statistics, scheme)
    assert isinstance(quantizer, BlockFloat)
    largest = quantizer.largest
    return FixedRange(quantizer, (-largest, largest)) if largest > 0.0 else None
