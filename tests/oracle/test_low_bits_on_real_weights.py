"""NIN and ResNet-20 of CIFAR-10 under presets of few bits, untrained for them: figures from numpy written apart."""

import numpy as np
import pytest
import torch

import qdiag
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.zoo import build
from tests.figures import top1_of
from tests.numpy_networks import Array, Float
from tests.oracle.test_binary_against_numpy import xnor
from tests.oracle.test_float_formats_on_real_weights import NETWORKS, Prepared, network, sqnr_db
from tests.oracle.test_power_of_two_against_numpy import log_quant
from tests.oracle.test_ternary_against_numpy import twn

__all__ = ["network"]
pytestmark = pytest.mark.real

ENDS = ("c0", "c8", "conv1", "linear")
"""First and last layers of both networks."""


class Ternary(Float):
    """0 and one magnitude for each layer's weights."""

    folds = False

    def weight(self, name: str, weight: Array) -> Array:
        return twn(weight.astype(np.float64)).astype(np.float32)


class Signs(Float):
    """Centred, clamped and scaled signs as weights, and signs of what convolutions between the ends read.

    What else reads an output, a shortcut or a pooling, reads it as it is.
    """

    folds = False

    def weight(self, name: str, weight: Array) -> Array:
        if name in ENDS:
            return weight
        return xnor(weight.astype(np.float64), centred=True, per_channel=True, scaled=True).astype(np.float32)

    def operand(self, name: str, x: Array) -> Array:
        if name in ENDS:
            return x
        return np.where(x >= 0.0, np.float32(1.0), np.float32(-1.0))


class Shifts(Float):
    """Powers of two in 4 bits; bytes at the input and the output."""

    def __init__(self, reference: Float, x: Array, logits: Array) -> None:
        super().__init__()
        self._largest = reference.largest
        self._bytes = {"input": (float(x.min()), float(x.max())), "linear": (float(logits.min()), float(logits.max()))}
        self._bytes["c8"] = (0.0, reference.largest.get("c8", 0.0))

    def weight(self, name: str, weight: Array) -> Array:
        return log_quant(weight, float(np.abs(weight).max()), 4, signed=True)

    def output(self, name: str, x: Array) -> Array:
        if name not in self._bytes:
            return log_quant(x, self._largest[name], 4, signed=name.endswith("conv2"))
        low, high = min(self._bytes[name][0], 0.0), max(self._bytes[name][1], 0.0)
        scale = np.float32((high - low) / 255.0)
        zero = np.float32(np.rint(-low / np.float64(scale)))
        return np.clip(np.rint(x / scale), -zero, np.float32(255.0) - zero) * scale


@pytest.mark.parametrize("preset", ["twn", "xnor", "log4"])
def test_accuracy_and_sqnr(network: Prepared, preset: str) -> None:
    name, state, x, labels, reference, logits = network
    made: Float = {"twn": Ternary(), "xnor": Signs(), "log4": Shifts(reference, x, logits)}[preset]
    with engine_arithmetic():
        simulated = NETWORKS[name][2](state, x, made)
    model = build(name, NETWORKS[name][1]).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=False)
    data = [(torch.from_numpy(x), torch.from_numpy(labels))]
    found = qdiag.measure(model, data, scheme=preset, calibration=data)
    counts = top1_of(found.task)
    assert counts is not None
    assert counts.both + counts.reference_only == int((logits.argmax(1) == labels).sum())
    assert counts.both + counts.simulated_only == int((simulated.argmax(1) == labels).sum())
    assert found.outputs[0].error.sqnr_db == pytest.approx(sqnr_db(logits, simulated), rel=1e-5)
