"""Whether a scheme gives layers integers, whose products are added up at one scale."""

from collections.abc import Callable
from typing import Literal

from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange, TensorScheme

_EVEN = ("affine", "linear")


def integer_layers(scheme: QuantScheme) -> Literal["all", "some", "none"]:
    """How many layers multiply integers, and so have an integer bias and an accumulator; float layers aside.

    A layer does whose input and weight are both integers, with one scale per tensor or output channel. What is
    different at some layers counts for some of them.
    """
    weights = _kinds(scheme.weights, scheme, lambda override: override.weights)
    activations = _kinds(scheme.activations, scheme, lambda override: override.activations)
    if not (any(weights) and any(activations)):
        return "none"
    return "all" if all(weights) and all(activations) else "some"


def _kinds(base: TensorScheme, scheme: QuantScheme, change: Callable[[LayerOverride], TensorChange]) -> list[bool]:
    return [_is_integer(base), *(_is_integer(change(one).over(base)) for one in scheme.layers if change(one).values)]


def _is_integer(scheme: TensorScheme) -> bool:
    return scheme.type in _EVEN and not scheme.is_float and scheme.granularity != "per_group"
