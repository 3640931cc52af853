"""Small detectors with non-maximum suppression in the file, as exporters write them: ONNX."""

from typing import Any, Literal

import numpy as np

from tests.networks.onnx_files import Array, node, onnx_bytes

CLASSES, CELLS, SIZE = 3, 64, 16
"""Classes, places of an image, and pixels along its sides."""
End = Literal["none", "indices", "gathered", "sorted", "tensorrt", "filtered", "refined"]
"""What stands behind boxes and scores; `refined` is a layer with weights, and `none` nothing."""


def _constants(seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    y, x = np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5, indexing="ij")
    return {
        "stem.weight": normal(8, 3, 3, 3, scale=0.3),
        "stem.bias": normal(8, scale=0.1),
        "box.weight": normal(4, 8, 1, 1, scale=0.2),
        "box.bias": np.asarray([-1.0, -1.0, 1.0, 1.0], np.float32),
        "score.weight": normal(CLASSES, 8, 1, 1, scale=1.0),
        "score.bias": normal(CLASSES, scale=0.1),
        "centres": np.stack([x, y, x, y]).reshape(1, 4, CELLS).astype(np.float32),
        "flat4": np.asarray([0, 4, CELLS], np.int64),
        "flat3": np.asarray([0, CLASSES, CELLS], np.int64),
    }


_HEAD = [
    node("Conv", "x stem.weight stem.bias", "s", "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
    node("Relu", "s", "r", "act"),
    node("Conv", "r box.weight box.bias", "b", "box"),
    node("Reshape", "b flat4", "b2", "flat_box"),
    node("Add", "b2 centres", "b3", "grid"),
    node("Transpose", "b3", "boxes", "boxes_last", perm=[0, 2, 1]),
    node("Conv", "r score.weight score.bias", "l", "score"),
    node("Reshape", "l flat3", "l2", "flat_score"),
    node("Sigmoid", "l2", "scores", "sigmoid"),
]
_NUMBERS: dict[str, Array] = {
    "most": np.asarray([5], np.int64),
    "iou": np.asarray([0.5], np.float32),
    "least": np.asarray([0.5], np.float32),
    "column": np.asarray(2, np.int64),
    "first": np.asarray(0, np.int64),
    "refine.weight": np.ones((4, 4), np.float32),
}
_SUPPRESSED = node("NonMaxSuppression", "boxes scores most iou least", "selected", "nms")
_ENDS: dict[str, tuple[list[Any], list[str]]] = {
    "none": ([], ["boxes", "scores"]),
    "indices": ([_SUPPRESSED], ["selected"]),
    "gathered": (
        [
            _SUPPRESSED,
            node("Gather", "selected column", "place", "places", axis=1),
            node("Gather", "boxes first", "own", "first_image", axis=0),
            node("Gather", "own place", "found", "found_boxes", axis=0),
            node("Shape", "boxes", "sizes", "sizes"),
            node("Gather", "sizes first", "count", "samples"),
        ],
        ["found", "selected", "count"],
    ),
    "sorted": (
        [
            node("Transpose", "scores", "scores_last", "scores_last", perm=[0, 2, 1]),
            node("Transpose", "scores_last", "scores_again", "scores_again", perm=[0, 2, 1]),
            node("ArgMax", "scores", "labels", "labels", axis=1, keepdims=0),
            node("NonMaxSuppression", "boxes scores_again most iou least", "selected", "nms"),
            node("Gather", "selected column", "place", "places", axis=1),
            node("Gather", "labels place", "found_labels", "found_labels", axis=1),
            node("Gather", "scores_last place", "found_scores", "found_scores", axis=1),
        ],
        ["boxes", "found_labels", "found_scores"],
    ),
    "tensorrt": (
        [node("EfficientNMS_TRT", "boxes scores", "count found found_scores found_labels", "nms", domain="TRT")],
        ["count", "found"],
    ),
    "filtered": (
        [
            node("Greater", "scores least", "is_sure", "sure"),
            node("NonZero", "is_sure", "where", "nonzero"),
            node("Transpose", "where", "places", "places"),
            node("GatherND", "scores places", "sure_scores", "sure_scores"),
        ],
        ["boxes", "sure_scores"],
    ),
    "refined": (
        [
            _SUPPRESSED,
            node("Gather", "selected column", "place", "places", axis=1),
            node("Gather", "boxes place", "near", "near", axis=1),
            node("MatMul", "near refine.weight", "found", "refine"),
        ],
        ["found"],
    ),
}


def onnx_detector(end: End = "gathered", samples: int | str = "N", seed: int = 0) -> bytes:
    """A convolution, and boxes (N, 64, 4) and scores (N, 3, 64) of its own, with the nodes that choose among them."""
    nodes, outputs = _ENDS[end]
    read = {name for one in (*_HEAD, *nodes) for name in one.input}
    constants = {name: value for name, value in {**_constants(seed), **_NUMBERS}.items() if name in read}
    return onnx_bytes([*_HEAD, *nodes], {"x": ("float32", [samples, 3, SIZE, SIZE])}, constants, outputs)
