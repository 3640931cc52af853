"""Where a quantized file has the outputs of a network: by name, by what integers stand for, or by order."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnx

from qdiag.errors import DataError
from qdiag.pipeline.verify.deployed_run import joined, paired_outputs
from qdiag.runtimes.base import IntegerTensor
from tests.networks.detectors import SIZE, onnx_detector
from tests.networks.quantized_files import quantized
from tests.oracle.onnx.file_integers import compared


def integers(name: str, *floats: str) -> IntegerTensor:
    scale, zero_point = np.asarray(0.5, np.float32), np.asarray(3, np.int64)
    return IntegerTensor(name, np.dtype(np.uint8), scale, zero_point, floats=floats)


@dataclass(frozen=True)
class File:
    outputs: tuple[str, ...]
    tensors: dict[str, IntegerTensor] = field(default_factory=dict)


BOXES = {"b_q": integers("b_q", "boxes", "b_dq"), "s_q": integers("s_q", "scores", "s_dq"), "l_q": integers("l_q", "l")}


@pytest.mark.parametrize(
    ("ours", "theirs", "given", "dequantized"),
    [
        (("boxes",), ("scores", "boxes"), {"boxes": "boxes"}, {}),
        (("boxes", "scores"), ("s_dq", "b_dq"), {"boxes": "b_dq", "scores": "s_dq"}, {}),
        (("l", "boxes"), ("b_dq", "s_dq"), {"boxes": "b_dq"}, {"l": "l_q"}),
        (("one", "two"), ("first", "second"), {"one": "first", "two": "second"}, {}),
        (("boxes", "two"), ("b_dq", "second"), {"boxes": "b_dq", "two": "second"}, {}),
    ],
)
def test_outputs_are_paired(
    ours: tuple[str, ...], theirs: tuple[str, ...], given: dict[str, str], dequantized: dict[str, str]
) -> None:
    file: Any = File(theirs, BOXES)
    found = paired_outputs(ours, file)
    assert (dict(found.given), dict(found.dequantized)) == (given, dequantized)


@pytest.mark.parametrize("theirs", [("b_dq",), ("s_dq", "b_dq")])
def test_what_has_no_tensor_is_named(theirs: tuple[str, ...]) -> None:
    """Two of each are not paired by order where names say otherwise."""
    file: Any = File(theirs, BOXES)
    with pytest.raises(DataError, match="it has no tensor for logits"):
        paired_outputs(("boxes", "logits"), file)


def test_a_float_detector_that_ends_before_its_suppression(tmp_path: Any) -> None:
    """The quantized file has its suppression, and reads other tensors than the float one gives."""
    x = np.random.default_rng(0).standard_normal((8, 3, SIZE, SIZE)).astype(np.float32)
    model = onnx.load_from_string(onnx_detector("none"))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("l2", "boxes"))
    found = compared(quantized(onnx_detector("gathered"), x, tmp_path), [{"x": x}], model.SerializeToString())
    assert found.counts
    assert not found.differing


def test_runs_are_joined_where_the_network_has_its_samples() -> None:
    parts = [np.full((3, 1, 2), number) for number in range(4)]
    assert joined(parts, (3, 4, 2))[1].tolist() == [[number] * 2 for number in range(4)]
    assert joined(parts, (12, 2)).shape == (12, 1, 2)
    assert joined(parts[:1], (3, 1, 2)) is parts[0]
