"""Formats of integer files: by the suffix of a file, what writes it and what runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qdiag.core.measures.deployed.export import GraphOrigin
from qdiag.core.scheme import RuntimeName
from qdiag.errors import CaptureError
from qdiag.exporters.litert.write import write_lite
from qdiag.exporters.onnx.insert import insert_qdq
from qdiag.exporters.onnx.write import write_qdq
from qdiag.files.read import open_regular
from qdiag.onnx.network import OnnxNetwork
from qdiag.runtimes.base import DeployedNetwork
from qdiag.runtimes.choice import RUNTIMES, written_encoding
from qdiag.runtimes.litert import Kernels, LitertRuntime
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.runtimes.processor import saturates_pairs
from qdiag.simulate.case import Case
from qdiag.subject import Subject


@dataclass(frozen=True)
class WrittenFile:
    """What an exporter gives.

    Attributes:
        content: the bytes of the file.
        integers: by layer, input and constant operand, the name of its integer tensor in the file.
        graph, why_captured: see `ExportReport`.
    """

    content: bytes
    integers: Mapping[str, str]
    graph: GraphOrigin = "captured"
    why_captured: str | None = None


@dataclass(frozen=True)
class IntegerFormat:
    """One format.

    Attributes:
        name: for tables. runtime: as users name it. arithmetic: that of the simulation which follows it.
        integer_kinds: kinds of layers that the runtime always computes with integers where the plan has them so.
        suffix: of its files.
        adds_pairs: whether its kernels add products in pairs of int16 on this processor, see `pair_saturation`.
    """

    name: str
    runtime: str
    arithmetic: RuntimeName
    write: Callable[[Subject, Case], WrittenFile]
    open: Callable[[bytes, str], DeployedNetwork]
    integer_kinds: frozenset[str] = frozenset()
    suffix: str = ".tflite"
    adds_pairs: Callable[[], bool] = lambda: False


def _onnx(subject: Subject, case: Case) -> WrittenFile:
    """Into the file that the network came from, where that is possible, else from the captured graph."""
    why = None
    if subject.format == "onnx" and isinstance(subject.model, OnnxNetwork) and Path(subject.source).is_file():
        if subject.model.integers is not None:
            why = "it is quantized already"
        else:
            with open_regular(subject.source) as stream:
                content = stream.read()
            try:
                file = insert_qdq(content, case.network, case.plan)
                return WrittenFile(file.content, file.integers, "file")
            except CaptureError as reason:
                why = reason.message
    file = write_qdq(case.network, case.plan, next(iter(case.calibration)))
    return WrittenFile(file.content, file.integers, "captured", why)


def _lite(subject: Subject, case: Case) -> WrittenFile:
    del subject
    file = write_lite(case.network, case.plan, next(iter(case.calibration)))
    return WrittenFile(file.content, file.integers)


_KERNELS: tuple[Kernels, ...] = ("xnnpack", "tflite", "tflite-ref")
_ORT_KINDS = frozenset({"conv", "linear", "matmul", "add", "mul", "concat"})
QDQ_ONNX = IntegerFormat("QDQ ONNX", "ort", "ort", _onnx, OnnxruntimeNetwork, _ORT_KINDS, ".onnx", saturates_pairs)
_LITE_KINDS = frozenset({"conv", "conv_transpose", "linear", "add", "sub", "mul", "concat"})
XNNPACK, LITE, LITE_REFERENCE = (
    IntegerFormat("LiteRT", kernels, kernels, _lite, partial(LitertRuntime, kernels=kernels), _LITE_KINDS)
    for kernels in _KERNELS
)


def format_of(path: str) -> IntegerFormat:
    """The format that a name ends in.

    Raises:
        ConfigError: none does.
    """
    return format_for(RUNTIMES[written_encoding(path)])


def format_for(runtime: str) -> IntegerFormat:
    """The format of a runtime, as users name that."""
    return next(form for form in (QDQ_ONNX, XNNPACK, LITE, LITE_REFERENCE) if form.runtime == runtime)
