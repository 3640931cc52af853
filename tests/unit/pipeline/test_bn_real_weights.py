"""The audit of published networks: counts, gains and blow-ups that were measured independently."""

from pathlib import Path

import pytest

from qdiag.core.measures.bn import BatchNormAudit
from qdiag.loaders.models.tensors import load_subject_or_tensors
from qdiag.pipeline.bn_audit import audit_batchnorms

pytestmark = pytest.mark.real

MOBILENET = "zoo:mobilenet_v1?width=0.75"
PERSON = "zoo:mobilenet_v1?width=0.25&classes=2&activation=relu&conv_bias=true"

# block: dead channels, largest and median gain, range of the dead channels over that of the live ones
DEPTHWISE = {
    0: (10, 32.7, 0.24, 79),
    1: (2, 44.0, 0.18, 7.7),
    2: (2, 33.8, 0.26, 4.6),
    5: (1, 16.2, 0.26, 12.6),
    10: (1, 31.2, 0.33, 8.4),
    11: (1, 26.8, 0.29, 12.6),
    12: (4, 34.3, 0.72, 1.9),
}


def audit(path: Path, arch: str | None, eps: float = 1e-5) -> BatchNormAudit:
    return audit_batchnorms(load_subject_or_tensors(path, arch=arch), assumed_eps=eps)


@pytest.mark.parametrize("arch", [MOBILENET, None], ids=["with its network", "state dict alone"])
def test_mobilenet(real_data: Path, arch: str | None) -> None:
    result = audit(real_data / "mobilenet_v1_0.75_224.safetensors", arch, 1e-3)
    assert result.dead_count == 42
    depthwise = {int(r.name.split(".")[1]): r for r in result.records if r.name.endswith("dw_bn")}
    assert {block for block, r in depthwise.items() if r.dead} == set(DEPTHWISE)
    assert sum(len(r.dead) for r in depthwise.values()) == 21
    for block, (count, gain_max, gain_median, blowup) in DEPTHWISE.items():
        record = depthwise[block]
        assert len(record.dead) == count
        assert record.gain_max_abs == pytest.approx(gain_max, abs=0.05)
        assert record.gain_median_abs == pytest.approx(gain_median, abs=0.006)
        assert record.dead_range_blowup == pytest.approx(blowup, rel=0.01)
    pointwise = [r for r in result.records if r.dead and not r.name.endswith("dw_bn")]
    assert all(not d.sets_range for r in pointwise for d in r.dead)
    assert [found.channel for found in depthwise[12].outliers if abs(found.gain) > 34.0] == [643]
    cost = depthwise[0].range_cost
    assert cost is not None
    assert (cost.is_dead, cost.charged_count) == (True, 14)
    assert cost.cost_bits == pytest.approx(6.31, abs=0.01)
    expected = "certain" if arch else "likely"
    assert {r.layer.certainty for r in result.records if r.layer} == {expected}


def test_person_detection_has_many_and_their_blowup_is_small(real_data: Path) -> None:
    result = audit(real_data / "mobilenet_v1_0.25_vww96.safetensors", PERSON)
    assert result.dead_count == 1540
    assert max(len(r.dead) for r in result.records) == 234
    depthwise = [r.dead_range_blowup for r in result.records if r.dead and r.name.endswith("dw_bn")]
    assert min(depthwise) == pytest.approx(1.1, abs=0.05)
    assert max(depthwise) == pytest.approx(2.8, abs=0.06)


@pytest.mark.parametrize("depth", [20, 56])
def test_resnets_are_silent(real_data: Path, depth: int) -> None:
    result = audit(real_data / f"resnet{depth}_cifar10.safetensors", f"zoo:resnet_cifar?depth={depth}")
    assert len(result.records) == depth - 1
    assert result.dead_count == 0
    assert all(not r.outliers for r in result.records)


def test_network_in_network_is_harmless(real_data: Path) -> None:
    result = audit(real_data / "nin_cifar10.safetensors", None)
    assert all(r.layer is not None for r in result.records)
    assert result.dead_count == 87
    assert not any(d.sets_range for r in result.records for d in r.dead)
    assert not any(o.sets_range for r in result.records for o in r.outliers)
    assert all(r.range_cost is not None and r.range_cost.cost_bits < 1.0 for r in result.records)
