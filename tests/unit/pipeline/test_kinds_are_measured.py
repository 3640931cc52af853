"""Every kind of graph is measured without a special case, under every preset."""

import math

import pytest

import qdiag
from qdiag.batches import Batch
from qdiag.config import load_preset, preset_names
from tests.models import KINDS

FLOAT_OPS = {"lstm": {"lstm"}, "gru": {"gru", "embedding"}}
"""Recurrent layers and table look-ups run in float, and are listed."""


def batches(name: str) -> list[Batch]:
    return [Batch(*KINDS[name].inputs(4, seed)) for seed in range(2)]


@pytest.mark.parametrize("name", KINDS)
def test_int8(name: str) -> None:
    result = qdiag.measure(KINDS[name].build(), batches(name), with_losses=True)
    assert {op.op for op in result.float_ops} == FLOAT_OPS.get(name, set())
    assert all(op.reason for op in result.float_ops)
    assert result.outputs
    for output in result.outputs:
        assert 15.0 < output.error.sqnr_db < 80.0
    for record in result.records:
        assert not math.isnan(record.local.sqnr_db), record.name
        assert record.local.simulated_nonfinite_count == 0
        assert record.local.count == record.propagated.count > 0
        assert record.quantizer is not None or record.skip_reason
    names = [record.name for record in result.records]
    assert len(set(names)) == len(names)
    assert not [note for note in result.notes if "constant operand" not in note]


INTEGERS = tuple(
    name
    for name in preset_names()
    if {load_preset(name).weights.type, load_preset(name).activations.type} == {"affine"}
    and min(load_preset(name).weights.bits, load_preset(name).activations.bits) >= 4
)
"""Presets of integers, without those of groups and floats, which `test_presets.py` takes through everything."""


@pytest.mark.parametrize("preset", INTEGERS)
def test_every_preset_of_integers_on_a_residual_network(preset: str) -> None:
    result = qdiag.measure(KINDS["residual"].build(), batches("residual"), scheme=preset)
    error = result.outputs[0].error.sqnr_db
    bits = min(result.scheme.weights.bits, result.scheme.activations.bits)
    assert error > {4: 5.0, 7: 20.0, 8: 25.0}[bits]
    if preset == "int16x8":
        finer = qdiag.measure(KINDS["residual"].build(), batches("residual"), scheme="int8")
        assert error > finer.outputs[0].error.sqnr_db
    quantized = any(r.quantizer is not None for r in result.records)
    assert quantized == (not result.scheme.activations.is_float)
    weighted = any(r.weight is not None for r in result.records)
    assert weighted == (not result.scheme.weights.is_float)


def test_layers_kept_in_float_on_request() -> None:
    plain = qdiag.measure(KINDS["residual"].build(), batches("residual"))
    first = next(r.name for r in plain.records if r.weight is not None)
    scheme = qdiag.load_scheme("int8", [f'float_layers=["{first}"]'])
    result = qdiag.measure(KINDS["residual"].build(), batches("residual"), scheme=scheme)
    record = result.record(first)
    assert record.weight is None
    assert record.skip_reason == "kept in float by the scheme"
    assert record.local.sqnr_db > plain.record(first).local.sqnr_db
    with pytest.raises(qdiag.QdiagError, match="matches no layer"):
        scheme = qdiag.load_scheme("int8", ['float_layers=["nothing.*"]'])
        qdiag.measure(KINDS["residual"].build(), batches("residual"), scheme=scheme)


def test_a_scheme_that_quantizes_nothing_is_refused() -> None:
    scheme = qdiag.load_scheme("w8a32", ["weights.bits=32"])
    with pytest.raises(qdiag.QdiagError, match="nothing would be quantized"):
        qdiag.measure(KINDS["plain"].build(), batches("plain"), scheme=scheme)
