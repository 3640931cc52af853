"""Layers by their names in sentences, where some names alone would not be understood as such."""

import re
from collections.abc import Sequence

from qdiag.core.graph import INPUT
from qdiag.core.listed import count_noun, listed

_NO_NAME = re.compile(r"[\d.]+|.{1,2}")
"""Numbers, as a `Sequential` gives them, and names of one or two characters."""


def layer_named(name: str) -> str:
    """`blocks.0.dw`; `layer 6` for a name that is a bare number or very short."""
    return f"layer {name}" if _NO_NAME.fullmatch(name) else name


def layers_named(names: Sequence[str], shown: int = 3) -> str:
    """`dw0, dw1, dw2 and 4 more`; `layers 0, 3, 6 and 4 more` where one of the first is no name by itself."""
    first = names[:shown]
    if not any(_NO_NAME.fullmatch(name) for name in first):
        return listed(names, shown)
    return f"{'layer' if len(names) == 1 else 'layers'} {listed(names, shown)}"


def counted_places(names: Sequence[str]) -> str:
    """`27 layers`, `1 input`, `27 layers and 1 input`: inputs of the network have a quantizer and are no layer."""
    inputs = sum(name.startswith(f"{INPUT}:") for name in names)
    parts = [count_noun(count, noun) for count, noun in ((len(names) - inputs, "layer"), (inputs, "input")) if count]
    return " and ".join(parts) or count_noun(0, "layer")
