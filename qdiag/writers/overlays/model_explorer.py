"""Colours of layers for Model Explorer, as the custom data of nodes that it loads beside a network.

Its nodes are found by the name of a node (ONNX) or of the tensor that it gives (LiteRT), which are the names of layers.
Format: `GraphNodeData` of the package `ai-edge-model-explorer`.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from qdiag.reading.layer_colours import LayerColour

_INFINITE_DB = 300.0
"""What stands for a value without any error, since the viewer reads plain numbers alone."""


def node_data(colours: Sequence[LayerColour]) -> str:
    """A JSON text."""
    results: dict[str, Any] = {
        colour.layer: {"value": _plain(colour.value), "bgColor": colour.shade.fill, "textColor": "#1d1f24"}
        for colour in colours
    }
    return json.dumps({"results": results}, indent=1, ensure_ascii=False) + "\n"


def _plain(value: float) -> float:
    if math.isinf(value):
        return math.copysign(_INFINITE_DB, value)
    return round(value, 3)
