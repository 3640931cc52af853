"""Real weights and photographs: the failure of arXiv 1803.08607 is found, and healthy networks stay healthy.

Expected figures come from the folder's own README, measured with other code.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import qdiag
from qdiag.core.measures.task import PairedCounts
from qdiag.writers.json.measurement import from_json
from tests.figures import top1_of

pytestmark = [pytest.mark.real, pytest.mark.slow]


def measured(folder: Path, weights: str, arch: str, data: str, preset: str, *options: str) -> qdiag.Measurement:
    """What a user gets: the command, in a process of its own."""
    command = [sys.executable, "-m", "qdiag", "sqnr", str(folder / f"{weights}.safetensors")]
    command += ["--arch", f"{folder / 'networks.py'}:{arch}", "--data", str(folder / data), "--preset", preset]
    done = subprocess.run([*command, *options, "--json", "-", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return from_json(done.stdout)


def top1(result: qdiag.Measurement) -> PairedCounts:
    assert top1_of(result.task) is not None
    return top1_of(result.task)


MOBILENET = {
    "uint8 per tensor": (("--scheme", "tf-uint8"), 9.0),
    "weights only": (("--scheme", "tf-uint8", "--weights-only"), 9.2),
    "activations only": (("--scheme", "tf-uint8", "--activations-only"), 77.4),
    "int8 per channel": (("--scheme", "int8"), 76.2),
}


@pytest.mark.parametrize("name", MOBILENET)
def test_mobilenet_v1_fails_and_survives_as_published(name: str, real_data: Path) -> None:
    options, expected = MOBILENET[name]
    result = measured(
        real_data,
        "mobilenet_v1_0.75_224",
        "mobilenet_v1_075",
        "imagenet_val_600",
        "tf",
        "--crop",
        "224",
        *options,
    )
    assert (result.data.calibration_count, result.data.measured_count) == (100, 500)
    assert top1(result).reference_percent == pytest.approx(76.4, abs=2.0)
    assert top1(result).simulated_percent == pytest.approx(expected, abs=2.0)
    if name == "uint8 per tensor":
        weakest = sorted(result.records, key=lambda r: r.local.sqnr_db)[:3]
        assert {r.name for r in weakest} == {"blocks.0.dw", "blocks.1.dw", "blocks.2.dw"}
        # the trap: the tensor's own figure ranks the worst layer among the best
        worst = result.record("blocks.0.dw").weight
        assert worst is not None
        assert worst.error.sqnr_db == pytest.approx(38.2, abs=0.2)
        assert worst.channel_sqnr_db_median == pytest.approx(11.15, abs=0.3)


CIFAR = {
    "resnet20_cifar10": "imagenet-stats",
    "resnet56_cifar10": "imagenet-stats",
    "nin_cifar10": "cifar10",
}


@pytest.mark.parametrize("scheme", ["int8", "tf-uint8"])
@pytest.mark.parametrize("name", CIFAR)
def test_healthy_networks_stay_within_half_a_point(name: str, scheme: str, real_data: Path) -> None:
    options = ("--scheme", scheme, "--calib-samples", "100", "--samples", "1000")
    result = measured(real_data, name, name, "cifar10_test2000.npz", CIFAR[name], *options)
    assert top1(result).drop_pp <= 0.5


@pytest.mark.parametrize("scheme", ["int8", "tf-uint8"])
def test_a_healthy_network_with_dead_channels(scheme: str, real_data: Path) -> None:
    """1,540 dead BatchNorm channels do no harm here: 500 images cannot tell the drop from half a point."""
    options = ("--scheme", scheme, "--calib-samples", "100", "--samples", "500")
    network = ("mobilenet_v1_0.25_vww96", "mobilenet_v1_025_vww")
    result = measured(real_data, *network, "vww96_600.npz", "none", *options)
    assert top1(result).drop_interval_pp.low <= 0.5
    assert top1(result).drop_pp <= 1.5
