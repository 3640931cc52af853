"""`qdiag verify` says why integers differ: where the file gives a layer its input otherwise, and what follows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

from qdiag.core.measures.deployed.verification import LayerAgreement, Verification, VerifyLimits
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.export.formats import QDQ_ONNX
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.verify.verify import verify_case, with_arithmetic
from qdiag.reading.words.deployed.verification import INHERITED, pair_words, reason_of, reason_words
from qdiag.simulate.session import Session
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.networks.quantized_files import quantized

X = np.random.default_rng(2).standard_normal((64, 8)).astype(np.float32)


def network() -> bytes:
    """`first` is read by a norm and by a matrix product; their sum is what the last layer reads."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> Array:
        return (0.4 * rng.standard_normal(shape)).astype(np.float32)

    constants = {
        **{f"{name}.weight": normal(8, 8) for name in ("first", "second", "last")},
        **{f"{name}.bias": normal(8) for name in ("first", "second", "last")},
        "norm.weight": np.ones(8, np.float32),
        "norm.bias": np.zeros(8, np.float32),
    }
    nodes = [
        node("Gemm", "x first.weight first.bias", "a", "first", transB=1),
        node("LayerNormalization", "a norm.weight norm.bias", "n", "norm", axis=-1),
        node("Gemm", "a second.weight second.bias", "b", "second", transB=1),
        node("Add", "n b", "s", "sum"),
        node("Gemm", "s last.weight last.bias", "y", "last", transB=1),
    ]
    return onnx_bytes(nodes, {"x": ("float32", ["N", 8])}, constants)


def read_in_float(content: bytes) -> bytes:
    """The norm reads what `first` gives, before its quantizer."""
    model = onnx.ModelProto.FromString(content)
    given = next(one.output[0] for one in model.graph.node if one.name == "first")
    next(one for one in model.graph.node if one.name == "norm").input[0] = given
    changed: bytes = model.SerializeToString()
    return changed


def verified(folder: Path, *, is_planted: bool = True) -> Verification:
    content = quantized(network(), X, folder, op_types_to_quantize=["Gemm", "Add"], per_channel=False)
    content = read_in_float(content) if is_planted else content
    (folder / "net.onnx").write_bytes(network())
    (folder / "int8.onnx").write_bytes(content)
    other = load_subject(folder / "int8.onnx")
    subject = load_subject(folder / "net.onnx", kept=frozenset(quantized_tensors(other)))
    session = Session()
    given = begin(session, subject, datasets_of(torch.from_numpy(X), None), scheme_of("int8"), quantized=other)
    given = with_arithmetic(session, given, "ort")
    return verify_case(session, given, given.case, QDQ_ONNX, content, None, source="int8.onnx", limits=VerifyLimits())


def test_a_norm_that_reads_its_input_in_float(tmp_path: Path) -> None:
    result = verified(tmp_path)
    rows = {row.layer: row for row in result.layers}
    assert rows["norm"].differing_count and "first" in reason_of(rows["norm"])
    assert reason_of(rows["norm"]).startswith("it gets its input in float or through another quantizer")
    assert not rows["first"].differing_count and not rows["second"].differing_count
    assert rows["last"].is_inherited and reason_of(rows["last"]) in ("", INHERITED)
    first = reason_words(result)[0]
    share = 100.0 * rows["norm"].differing_count / result.count
    assert first.startswith(f"norm, {share:.2g} % of all integers: it gets its input in float")


def test_where_every_reader_gets_the_same_there_is_no_reason(tmp_path: Path) -> None:
    """The twin: the norm reads through the quantizer too."""
    result = verified(tmp_path, is_planted=False)
    rows = {row.layer: row for row in result.layers}
    assert not reason_of(rows["norm"]) and not any("in float or through" in words for words in reason_words(result))


def test_what_differs_without_a_reason_is_said_so(tmp_path: Path) -> None:
    result = verified(tmp_path)
    rows = (
        LayerAgreement("a", "ta", 100, 10, 1),
        LayerAgreement("b", "tb", 100, 30, 2, None, True),
        LayerAgreement("c", "tc", 200, 0, 0, "it computes in float"),
    )
    planted = replace(result, layers=rows)
    assert reason_words(planted) == (
        "layer a, 2.5 % of all integers: no reason is known",
        f"layer b, 7.5 % of all integers: {INHERITED}",
    )
    assert reason_words(replace(planted, scheme=replace(result.scheme, arithmetic="float"))) == ()


def test_that_other_processors_compute_otherwise_is_said_where_kernels_add_pairs(tmp_path: Path) -> None:
    result = replace(verified(tmp_path), adds_pairs=True)
    assert "x86 without VNNI" in " ".join(pair_words(result))
    assert pair_words(replace(result, adds_pairs=False)) == ()
    nothing = replace(result.operations, integer={})
    assert pair_words(replace(result, operations=nothing)) == ()
