"""Ranges of outputs in the forms that onnxruntime and TensorRT read: no calibration is run there again.

- `.json`: onnxruntime's calibration cache, as `load_tensors_data` of `onnxruntime.quantization.calibrate` reads it.
- `.flatbuffers`: onnxruntime's table for its TensorRT provider, as `write_calibration_table` of
  `onnxruntime.quantization` writes it: the largest magnitude of each tensor.
- `.cache`: TensorRT's calibration cache, a text: `name: ` and the scale for int8, the largest magnitude over 127, as
  the hexadecimal digits of a float32, most significant byte first.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import PurePath

from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.errors import ConfigError

Bounds = Mapping[str, tuple[float, float]]

_TENSORRT_HEAD = "TRT-8601-EntropyCalibration2"
"""The version and the calibrator that wrote a cache; TensorRT asks the calibrator for that of its own kind."""
_INT8_LARGEST = 127.0


def output_bounds(report: RangeReport) -> Bounds:
    """Lowest and highest value of every output by its name: of its quantizer where a scheme was asked for.

    The name is that of the tensor in an ONNX file, and that of the layer elsewhere. Tensors of the file that have no
    range of their own, since they lie inside of a layer or are views, have that of the output.
    """
    outputs = [record for record in report.records if record.role == "activation" and _is_finite(_bounds(record))]
    others = {name: _bounds(record) for record in outputs for name in record.same_range}
    return others | {record.tensor_name or record.layer: _bounds(record) for record in outputs}


def calibration_cache(report: RangeReport, target: str) -> bytes:
    """The ranges in the form that the suffix of `target` stands for.

    Raises:
        ConfigError: another suffix, or a package is missing.
    """
    return writer_of(target)(output_bounds(report))


def writer_of(target: str) -> Callable[[Bounds], bytes]:
    """What writes a file of this name.

    Raises:
        ConfigError: no runtime reads a file with this suffix.
    """
    suffix = PurePath(target).suffix.lower()
    if suffix not in _WRITERS:
        endings = ", ".join(_WRITERS)
        raise ConfigError(f"no runtime reads ranges from {target!r}", hint=f"the name has to end in one of {endings}")
    return _WRITERS[suffix]


def _bounds(record: RangeRecord) -> tuple[float, float]:
    quantizer = record.quantizer
    if quantizer is not None and quantizer.has_range:
        return quantizer.range_min, quantizer.range_max
    return record.tensor.min, record.tensor.max


def _is_finite(bounds: tuple[float, float]) -> bool:
    return all(map(math.isfinite, bounds))


def _largest(bounds: tuple[float, float]) -> float:
    return max(abs(bounds[0]), abs(bounds[1]))


def _onnxruntime_json(tensors: Bounds) -> bytes:
    data = {
        name: {"lowest": low, "highest": high, "CLS": "TensorData"} for name, (low, high) in sorted(tensors.items())
    }
    method = {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}
    cache = {"CLS": "TensorsData", "data": data, "calibration_method": method, "smooth_quant": False}
    return (json.dumps(cache, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def _onnxruntime_table(tensors: Bounds) -> bytes:
    try:
        import flatbuffers
    except ImportError as error:
        raise ConfigError("this form needs the package flatbuffers", hint="pip install 'qdiag[ort]'") from error
    builder = flatbuffers.Builder(1024)
    rows = []
    for name, bounds in sorted(tensors.items(), reverse=True):
        key, value = builder.CreateString(name), builder.CreateString(str(_largest(bounds)))
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, key, 0)
        builder.PrependUOffsetTRelativeSlot(1, value, 0)
        rows.append(builder.EndObject())
    builder.StartVector(4, len(rows), 4)
    for row in rows:
        builder.PrependUOffsetTRelative(row)
    table = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, table, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _tensorrt_text(tensors: Bounds) -> bytes:
    lines = [_TENSORRT_HEAD]
    lines += [
        f"{name}: {struct.pack('>f', _largest(bounds) / _INT8_LARGEST).hex()}" for name, bounds in tensors.items()
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


_WRITERS: Mapping[str, Callable[[Bounds], bytes]] = {
    ".json": _onnxruntime_json,
    ".flatbuffers": _onnxruntime_table,
    ".cache": _tensorrt_text,
}
