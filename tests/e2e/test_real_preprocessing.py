"""Real networks on their own pixels say nothing; on pixels prepared for another network they say what to use."""

from pathlib import Path

import pytest

import qdiag
from qdiag.cli.app import run
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.writers.json.measurement import from_json

pytestmark = pytest.mark.real

NETWORKS = {
    "resnet20_cifar10": ("resnet20_cifar10", "cifar10_lossless200.npz", "imagenet-stats"),
    "resnet56_cifar10": ("resnet56_cifar10", "cifar10_lossless200.npz", "imagenet-stats"),
    "nin_cifar10": ("nin_cifar10", "cifar10_lossless200.npz", "cifar10"),
    "mobilenet_v1_0.25_vww96": ("mobilenet_v1_025_vww", "vww96_600.npz", "none"),
    "mobilenet_v1_0.75_224": ("mobilenet_v1_075", "imagenet_val_600", "tf"),
}


def measured(folder: Path, weights: str, preset: str, to: Path) -> qdiag.Measurement:
    arch, data, _ = NETWORKS[weights]
    line = ["sqnr", str(folder / f"{weights}.safetensors"), "--preset", preset, "--samples", "64", "--quiet"]
    line += ["--arch", f"{folder / 'networks.py'}:{arch}", "--data", str(folder / data), "--json", str(to / "r.json")]
    line += ["--crop", "224", "--calib-samples", "64"] if data == "imagenet_val_600" else []
    assert run(line) == 0
    return from_json((to / "r.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mobilenet_v1_0.75_224"])
def test_on_its_own_pixels_nothing_is_said(name: str, real_data: Path, tmp_path: Path) -> None:
    """Nor of MobileNet on photographs, which `test_real_networks.py` measures anyway."""
    result = measured(real_data, name, NETWORKS[name][2], tmp_path)
    check = result.preprocessing
    assert check is not None and check.worst is not None
    assert check.worst.distance < 0.5, "far within the limits"
    assert not check.is_doubtful and check.trials == ()
    assert preprocessing_warning(result) is None


@pytest.mark.parametrize(
    ("name", "wrong", "proposed"),
    [
        ("resnet20_cifar10", "none", {"imagenet-stats", "cifar10"}),
        ("resnet56_cifar10", "caffe", {"imagenet-stats", "cifar10"}),
        ("nin_cifar10", "none", {"cifar10"}),
        ("mobilenet_v1_0.25_vww96", "imagenet-stats", {"none"}),
        ("mobilenet_v1_0.25_vww96", "tf", {"none"}),
        ("mobilenet_v1_0.75_224", "none", {"tf"}),
    ],
)
def test_on_pixels_for_another_network_the_right_ones_are_proposed(
    name: str, wrong: str, proposed: set[str], real_data: Path, tmp_path: Path
) -> None:
    result = measured(real_data, name, wrong, tmp_path)
    check = result.preprocessing
    assert check is not None and check.better is not None
    assert not check.is_as_trained
    assert dict(check.better.settings)["preset"] in proposed
    assert "do not seem to be prepared" in (preprocessing_warning(result) or "")
