"""The ranges that a network brings with it, as those of the scheme."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from qdiag.capture.fake_quantizers.stored import StoredQuantizer
from qdiag.core.measures.value_ranges.stored_range import Outcome, StoredRange
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange, TensorScheme

_OWN = frozenset({"range", "channel_ranges", "calibrator"})
"""Fields by which a scheme chooses the range of a layer itself."""
Pair = tuple[float, float]


def with_stored_ranges(
    scheme: QuantScheme, quantizers: Sequence[StoredQuantizer]
) -> tuple[QuantScheme, tuple[StoredRange, ...]]:
    """The scheme with the ranges of the network's fake quantizers, and what became of each.

    What the scheme says about the range of a layer goes before what the network brings. The integers are those of
    the scheme: a range of 7 bits is divided into the steps of 8 where the scheme has 8.
    """
    added, rows = list[LayerOverride](), list[StoredRange]()
    for one in quantizers:
        change: TensorChange | Outcome = "no place"
        tensor = None
        if one.layer is not None and one.kind is not None:
            tensor = scheme.weights_of(one.layer) if one.kind == "weight" else scheme.activations_of(one.layer)
            change = _is_chosen(scheme, one.kind, one.layer) or _change(one, tensor)
        outcome: Outcome = "used"
        if isinstance(change, TensorChange):
            assert one.layer is not None
            is_weight = one.kind == "weight"
            own = (
                LayerOverride(one.layer, weights=change) if is_weight else LayerOverride(one.layer, activations=change)
            )
            added.append(own)
        else:
            outcome = change
        has_other = tensor is not None and outcome == "used" and _width(tensor) != one.quant_max - one.quant_min
        rows.append(
            StoredRange(
                *(one.module, one.kind, one.layer, one.quant_min, one.quant_max, len(one.scales)),
                *(outcome, has_other, one.is_on, one.observes),
            )
        )
    return replace(scheme, layers=(*added, *scheme.layers)) if added else scheme, tuple(rows)


def _is_chosen(scheme: QuantScheme, kind: Literal["weight", "output"], layer: str) -> Outcome | None:
    base = scheme.weights if kind == "weight" else scheme.activations
    changes = [o.weights if kind == "weight" else o.activations for o in scheme.layers if o.matches(layer)]
    is_own = base.range is not None or base.channel_ranges is not None or any(_OWN & c.values.keys() for c in changes)
    return "given by the scheme" if is_own else None


def _change(one: StoredQuantizer, scheme: TensorScheme) -> TensorChange | Outcome:
    """What makes the scheme's quantizer that of the network; or why there is nothing."""
    if scheme.is_float:
        return "not quantized"
    if scheme.type != "affine":
        return "other format"
    if one.is_computed:
        return "computed"
    if not one.scales:
        return "no range"
    if one.is_folded != one.needs_folded:
        return "folding"
    pairs = tuple(_ends(one, scheme, *numbers) for numbers in zip(one.scales, one.zero_points, strict=True))
    if len(pairs) == 1:
        return TensorChange(range=pairs[0])
    if scheme.granularity == "per_channel":
        return TensorChange(channel_ranges=pairs)
    if scheme.granularity == "per_tensor":
        return TensorChange(range=(min(low for low, _ in pairs), max(high for _, high in pairs)))
    return "other granularity"


def _ends(one: StoredQuantizer, scheme: TensorScheme, scale: float, zero_point: float) -> Pair:
    """Lowest and highest value, from which `Affine.from_range` makes the scale again, to the last digit of float32."""
    width = one.quant_max - one.quant_min
    if scheme.symmetric and scheme.signed and abs(2.0 * zero_point - one.quant_min - one.quant_max) <= 1.0:
        return _shortest(-scale * width / 2.0), _shortest(scale * width / 2.0)
    return _shortest((one.quant_min - zero_point) * scale), _shortest((one.quant_max - zero_point) * scale)


def _shortest(x: float) -> float:
    """The number with the fewest digits that becomes the same float32."""
    return float(str(np.float32(x)))


def _width(scheme: TensorScheme) -> int:
    return scheme.quant_max - scheme.quant_min
