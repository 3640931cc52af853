"""Schemes at other widths, and the widths that their formats do not have."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.listed import listed
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.errors import ConfigError

BITS = (4, 5, 6, 7, 8, 10, 12, 16)
"""Widths at which a network is measured to show where it begins to fail."""


def schemes_at(scheme: QuantScheme, widths: Sequence[int] = BITS) -> dict[int, QuantScheme]:
    """The scheme at each width of all weights and activations that it quantizes, without the widths that a format does
    not have. What is only cast, as float16 activations are, stays as it is.
    """
    found = {bits: _scheme_at(scheme, bits) for bits in widths}
    return {bits: other for bits, other in found.items() if other is not None}


def _scheme_at(scheme: QuantScheme, bits: int) -> QuantScheme | None:
    try:
        weights, activations = _at_bits(scheme.weights, bits), _at_bits(scheme.activations, bits)
    except ConfigError:
        return None
    # at scale_in * scale_w of wider values an int32 bias overflows, which is no property of the width asked about
    is_wide = scheme.bias == "int32" and bits > max(scheme.weights.bits, scheme.activations.bits)
    bias = "int64" if is_wide else scheme.bias
    return replace(scheme, weights=weights, activations=activations, bias=bias)


def left_out_widths(scheme: QuantScheme) -> tuple[str, ...]:
    """One note on the widths that cannot be measured, and on the formats that stand for the others."""
    kinds = [one for one in (scheme.weights, scheme.activations) if one.type in FLOAT_TYPES and not _is_kept(one)]
    if not kinds:
        return ()
    measured = schemes_at(scheme)
    missing = [bits for bits in BITS if bits not in measured]
    used = [f"{bits} bits are {_at_bits(kinds[0], bits).float_format.name}" for bits in measured]
    return (f"{listed(missing, len(missing))} bits are left out of the widths: no such format; {', '.join(used)}",)


def _at_bits(scheme: TensorScheme, bits: int) -> TensorScheme:
    """Raises ConfigError where there is no such format."""
    if _is_kept(scheme):
        return scheme
    if scheme.is_block and bits > _WIDEST_BLOCK:
        raise ConfigError(f"bits = {bits} with type = {scheme.type} is not possible", hint="use 8 bits or fewer")
    return scheme.at_bits(bits)


_WIDEST_BLOCK = 8
"""Values of more bits are not kept in blocks."""


def _is_kept(scheme: TensorScheme) -> bool:
    return scheme.is_float or (scheme.type in FLOAT_TYPES and scheme.scale_name == "none")
