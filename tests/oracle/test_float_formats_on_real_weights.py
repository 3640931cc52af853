"""NIN and ResNet-20 of CIFAR-10 under float presets without training: the same figures from numpy written apart."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import qdiag
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.zoo import build
from tests.figures import top1_of
from tests.numpy_networks import Array, Float, nin, resnet20
from tests.oracle.test_block_floats_against_numpy import TABLES, nearest

pytestmark = pytest.mark.real

IMAGES = 3
NETWORKS = {"nin": ("nin_cifar10", {}, nin), "resnet_cifar": ("resnet20_cifar10", {"depth": 20}, resnet20)}
STATISTICS = {
    "nin": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "resnet_cifar": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class GroupsOfFour(Float):
    """INT4 in groups of 128 weights of an output channel, float16 for everything that layers hand on."""

    def weight(self, name: str, weight: Array) -> Array:
        rows = weight.reshape(len(weight), -1)
        found = [np.empty((len(rows), 0), np.float32)]
        for first in range(0, rows.shape[1], 128):
            group = rows[:, first : first + 128]
            scale = (2.0 * np.abs(group).max(1, keepdims=True).astype(np.float64) / 15.0).astype(np.float32)
            scale[scale == 0.0] = 1.0  # pruned away
            found.append(np.clip(np.rint(group / scale), -8, 7).astype(np.float32) * scale)
        return np.concatenate(found, 1).reshape(weight.shape)

    def output(self, name: str, x: Array) -> Array:
        return x.astype(np.float16).astype(np.float32)


class Eights(Float):
    """E4M3 with one scale per tensor: max|x| / 448, of outputs as the float network has them on the same images."""

    def __init__(self, reference: Float) -> None:
        super().__init__()
        self._largest = reference.largest

    def weight(self, name: str, weight: Array) -> Array:
        return self._rounded(weight, float(np.abs(weight).max()))

    def output(self, name: str, x: Array) -> Array:
        return self._rounded(x, self._largest[name])

    def _rounded(self, x: Array, largest: float) -> Array:
        scale = np.float32(largest / 448.0)
        return nearest(x / scale, "e4m3").astype(np.float32) * scale


class BlocksOfFours(Float):
    """MXFP4: blocks of 32 along the input channels, of weights and of what is multiplied with them."""

    def weight(self, name: str, weight: Array) -> Array:
        return self.operand(name, weight)

    def operand(self, name: str, x: Array) -> Array:
        found = np.empty_like(x)
        exponent = TABLES["e2m1"][0]
        for first in range(0, x.shape[1], 32):
            block = x[:, first : first + 32]
            largest = np.abs(block).max(1, keepdims=True)
            with np.errstate(divide="ignore"):
                power = np.floor(np.log2(largest.astype(np.float64))) - exponent
            scale = np.exp2(np.maximum(power, -126.0)).astype(np.float32)
            found[:, first : first + 32] = nearest(block / scale, "e2m1").astype(np.float32) * scale
        return found


Prepared = tuple[str, dict[str, Array], Array, Array, Float, Array]
"""Name, tensors, images, labels, and the float network with its logits."""


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, real_data: Path) -> Prepared:
    name: str = request.param
    file = np.load(real_data / "cifar10_lossless200.npz")
    mean, std = (np.array(one, np.float32)[:, None, None] for one in STATISTICS[name])
    images = file["images"][:IMAGES].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255.0)
    x = np.ascontiguousarray((images - mean) / std, dtype=np.float32)
    state, reference = load_file(real_data / f"{NETWORKS[name][0]}.safetensors"), Float()
    with engine_arithmetic():
        logits = NETWORKS[name][2](state, x, reference)
    return name, state, x, file["labels"][:IMAGES].astype(np.int64), reference, logits


def sqnr_db(reference: Array, other: Array) -> float:
    signal = np.square(reference, dtype=np.float64).sum()
    return float(10.0 * np.log10(signal / np.square(reference.astype(np.float64) - other).sum()))


@pytest.mark.parametrize("preset", ["w4a16-g128", "fp8-e4m3", "mxfp4"])
def test_accuracy_and_sqnr(network: Prepared, preset: str) -> None:
    name, state, x, labels, reference, logits = network
    made: Float = {"w4a16-g128": GroupsOfFour(), "fp8-e4m3": Eights(reference), "mxfp4": BlocksOfFours()}[preset]
    with engine_arithmetic():
        simulated = NETWORKS[name][2](state, x, made)

    model = build(name, NETWORKS[name][1]).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=False)
    data = [(torch.from_numpy(x), torch.from_numpy(labels))]
    found = qdiag.measure(model, data, scheme=preset, calibration=data)

    counts = top1_of(found.task)
    assert counts is not None
    right = {lane: int((x.argmax(1) == labels).sum()) for lane, x in (("float", logits), (preset, simulated))}
    assert counts.both + counts.reference_only == right["float"]
    assert counts.both + counts.simulated_only == right[preset]
    assert found.outputs[0].error.sqnr_db == pytest.approx(sqnr_db(logits, simulated), rel=1e-5)
    assert found.outputs[0].error.reference_sq_sum == pytest.approx(
        float(np.square(logits, dtype=np.float64).sum()), rel=1e-5
    )
