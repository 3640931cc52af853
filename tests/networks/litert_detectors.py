"""Small detectors with non-maximum suppression in the file, as converters write them: LiteRT."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from flatbuffers import flexbuffers

from qdiag.litert.serialize import packages
from tests.networks.litert_files import Array, lite_bytes, op, quantization

CLASSES, CELLS, SIZE, MOST = 3, 16, 8, 5
"""Classes with that of the background, places of an image, pixels along its sides, and boxes that are chosen."""
End = Literal["none", "custom", "builtin", "unknown", "refined"]
"""What stands behind boxes and scores; `refined` is a layer with weights, and `none` nothing."""


def lite_detector(end: End, *, is_quantized: bool = False, seed: int = 0) -> bytes:
    """A convolution, and boxes (1, 16, 4) and scores (1, 16, 3) of its own, with the operators that choose."""
    rng = np.random.default_rng(seed)

    def layer(name: str, *shape: int) -> dict[str, Array]:
        return {
            f"{name}/w": (0.5 * rng.standard_normal(shape)).astype(np.float32),
            f"{name}/b": (0.1 * rng.standard_normal(shape[0])).astype(np.float32),
        }

    operators = [
        op("CONV_2D", "x stem/w stem/b", "stem", padding=0, strideH=2, strideW=2, fusedActivationFunction=1),
        op("CONV_2D", "stem box/w box/b", "box", padding=1, strideH=1, strideW=1),
        op("RESHAPE", "box to_boxes", "boxes"),
        op("CONV_2D", "stem score/w score/b", "score", padding=1, strideH=1, strideW=1),
        op("RESHAPE", "score to_scores", "logits"),
        op("LOGISTIC", "logits", "scores"),
    ]
    values: dict[str, Any] = {
        "x": (1, SIZE, SIZE, 3),
        **layer("stem", 6, 3, 3, 3),
        "stem": (1, 4, 4, 6),
        **layer("box", 4, 1, 1, 6),
        "box": (1, 4, 4, 4),
        "to_boxes": np.asarray([1, CELLS, 4], np.int32),
        "boxes": (1, CELLS, 4),
        **layer("score", CLASSES, 1, 1, 6),
        "score": (1, 4, 4, CLASSES),
        "to_scores": np.asarray([1, CELLS, CLASSES], np.int32),
        "logits": (1, CELLS, CLASSES),
        "scores": (1, CELLS, CLASSES),
    }
    scales: dict[str, Any] = {}
    dtypes: dict[str, Any] = {}
    outputs = "boxes scores"
    if is_quantized:
        scales = _quantized(values)
        dtypes = {name: np.int8 for name in scales if not isinstance(values[name], np.ndarray)}
        operators += [op("DEQUANTIZE", "boxes", "boxes_float"), op("DEQUANTIZE", "scores", "scores_float")]
        values |= {"boxes_float": (1, CELLS, 4), "scores_float": (1, CELLS, CLASSES)}
        outputs = "boxes_float scores_float"
    boxes, scores = outputs.split()
    if end in ("builtin", "refined"):
        operators += [
            op("RESHAPE", f"{boxes} to_places", "places"),
            op("REDUCE_MAX", f"{scores} last", "best", keepDims=False),
            op("RESHAPE", "best to_best", "best_places"),
            op("NON_MAX_SUPPRESSION_V5", "places best_places most iou least sigma", "chosen chosen_scores count"),
            op("GATHER", "places chosen", "found", axis=0),
        ]
        values |= {
            "to_places": np.asarray([CELLS, 4], np.int32),
            "places": (CELLS, 4),
            "last": np.asarray([2], np.int32),
            "best": (1, CELLS),
            "to_best": np.asarray([CELLS], np.int32),
            "best_places": (CELLS,),
            "most": np.asarray(MOST, np.int32),
            **{name: np.asarray(value, np.float32) for name, value in (("iou", 0.5), ("least", 0.3), ("sigma", 0.0))},
            "chosen": (MOST,),
            "chosen_scores": (MOST,),
            "count": (),
            "found": (MOST, 4),
        }
        dtypes |= dict.fromkeys(("chosen", "count"), np.int32)
        outputs = "found chosen_scores count"
    if end == "refined":
        operators.append(op("FULLY_CONNECTED", "found refine/w -", "refined"))
        values |= {"refine/w": np.ones((4, 4), np.float32), "refined": (MOST, 4)}
        outputs = "refined"
    content = lite_bytes(operators, values, outputs, quantized=scales, dtypes=dtypes)
    if end in ("custom", "unknown"):
        name = "TFLite_Detection_PostProcess" if end == "custom" else "AcmeNonMaxSuppression"
        anchors = np.tile(np.asarray([0.5, 0.5, 0.3, 0.3], np.float32), (CELLS, 1))
        shapes = {"found": (1, MOST, 4), "found_labels": (1, MOST), "found_scores": (1, MOST), "count": (1,)}
        content = with_custom(content, name, (boxes, scores), anchors, shapes, _POST_PROCESSING)
    return content


_POST_PROCESSING: Mapping[str, Any] = {
    "max_detections": MOST,
    "max_classes_per_detection": 1,
    "num_classes": CLASSES - 1,
    "nms_score_threshold": 0.3,
    "nms_iou_threshold": 0.5,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
    "use_regular_nms": False,
}


def _quantized(values: dict[str, Any]) -> dict[str, Any]:
    """Makes integers of weights and biases; the scales of everything."""
    scales = {
        "x": quantization(0.03, 0),
        "stem": quantization(0.02, -128),
        **dict.fromkeys(("box", "boxes"), quantization(0.02, 5)),
        **dict.fromkeys(("score", "logits"), quantization(0.04, -3)),
        "scores": quantization(1.0 / 256.0, -128),
    }
    for name, source in (("stem", "x"), ("box", "stem"), ("score", "stem")):
        weight = np.abs(values[f"{name}/w"]).max((1, 2, 3)) / np.float32(127)
        bias = weight * scales[source].scales
        values[f"{name}/w"] = np.rint(values[f"{name}/w"] / weight[:, None, None, None]).astype(np.int8)
        values[f"{name}/b"] = np.rint(values[f"{name}/b"] / bias).astype(np.int32)
        scales |= {f"{name}/w": quantization(weight), f"{name}/b": quantization(bias)}
    return scales


def with_custom(
    content: bytes,
    name: str,
    inputs: tuple[str, ...],
    constant: Array,
    outputs: Mapping[str, tuple[int, ...]],
    options: Mapping[str, Any],
) -> bytes:
    """The file with a custom operator at its end, which reads these tensors and this constant."""
    schema, builder = packages()
    model = schema.ModelT.InitFromPackedBuf(content)
    main = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in main.tensors]

    def tensor(own: str, shape: tuple[int, ...], buffer: int) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = (
            own,
            np.asarray(shape, np.int32),
            schema.TensorType.FLOAT32,
            buffer,
        )
        main.tensors.append(made)
        return len(main.tensors) - 1

    data = schema.BufferT()
    data.data = np.frombuffer(constant.tobytes(), np.uint8)
    model.buffers.append(data)
    read = [names.index(one) for one in inputs] + [tensor("anchors", constant.shape, len(model.buffers) - 1)]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name, 1
    model.operatorCodes.append(code)
    made = schema.OperatorT()
    made.opcodeIndex = len(model.operatorCodes) - 1
    made.inputs = np.asarray(read, np.int32)
    made.outputs = np.asarray([tensor(own, shape, 0) for own, shape in outputs.items()], np.int32)
    made.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(dict(options))), np.uint8)
    main.operators.append(made)
    main.outputs, model.signatureDefs = made.outputs, None
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
