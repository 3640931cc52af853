"""Real weights and photographs: the failure of arXiv 1803.08607 is found and repaired, and healthy networks stay so.

Expected figures come from the folder's own README, measured with other code.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import qdiag
from qdiag.cli.app import run
from qdiag.config import load_preset
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.measures.task import PairedCounts
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors, without_quantizers
from qdiag.simulate.session import Session, open_session
from qdiag.writers.json.measurement import from_json
from tests.figures import top1_of
from tests.stored import read_back

pytestmark = pytest.mark.real

MOBILENET = "mobilenet_v1_0.75_224"
PHOTOGRAPHS = "imagenet_val_600"


def untreated(session: Session, folder: Path, weights: str, arch: str, request: DataRequest, scheme: str) -> Case:
    subject = load_subject(str(folder / f"{weights}.safetensors"), arch=f"{folder / 'networks.py'}:{arch}")
    return begin(session, subject, open_datasets(request), load_preset(scheme)).case


def scored(session: Session, cases: Mapping[str, Case]) -> dict[str, PairedCounts]:
    """Right answers of each case, all of them in one pass beside one float network."""
    found, _ = session.score(list(cases.values()), "score")
    top1 = {name: top1_of(one.score.task) for name, one in zip(cases, found, strict=True)}
    return {name: counts for name, counts in top1.items() if counts is not None}


@pytest.fixture(scope="module")
def as_published(real_data: Path) -> qdiag.Measurement:
    """What a user gets: the command, in a process of its own, on all photographs."""
    command = [sys.executable, "-m", "qdiag", "sqnr", str(real_data / f"{MOBILENET}.safetensors")]
    command += ["--arch", f"{real_data / 'networks.py'}:mobilenet_v1_075", "--data", str(real_data / PHOTOGRAPHS)]
    command += ["--preset", "tf", "--crop", "224", "--scheme", "tf-uint8", "--json", "-", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return from_json(done.stdout)


def test_mobilenet_v1_fails_as_published(as_published: qdiag.Measurement) -> None:
    assert (as_published.data.calibration_count, as_published.data.measured_count) == (100, 500)
    top1 = top1_of(as_published.task)
    assert top1 is not None
    assert top1.reference_percent == pytest.approx(76.4, abs=2.0)
    assert top1.simulated_percent == pytest.approx(9.0, abs=2.0)
    weakest = sorted(as_published.records, key=lambda r: r.local.sqnr_db)[:3]
    assert {r.name for r in weakest} == {"blocks.0.dw", "blocks.1.dw", "blocks.2.dw"}
    # the trap: the tensor's own figure ranks the worst layer among the best
    worst = as_published.record("blocks.0.dw").weight
    assert worst is not None
    assert worst.error.sqnr_db == pytest.approx(38.2, abs=0.2)
    assert worst.channel_sqnr_db_median == pytest.approx(11.15, abs=0.3)


def test_on_its_own_pixels_nothing_is_said_of_their_preparation(as_published: qdiag.Measurement) -> None:
    check = as_published.preprocessing
    assert check is not None and check.worst is not None
    assert check.worst.distance < 0.5, "far within the limits"
    assert not check.is_doubtful and check.trials == ()
    assert preprocessing_warning(as_published) is None


@pytest.fixture(scope="module")
def fixed(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `qdiag fix-bn` writes, with a proof on a few photographs."""
    folder = tmp_path_factory.mktemp("fixed")
    line = ["fix-bn", str(real_data / f"{MOBILENET}.safetensors"), "--arch", "zoo:mobilenet_v1?width=0.75"]
    line += ["--data", str(real_data / PHOTOGRAPHS), "--preset", "tf", "--crop", "224"]
    line += ["--samples", "32", "--calib-samples", "32", "--method", "mean", "--quiet"]
    assert run([*line, "-o", str(folder / "fixed.safetensors"), "--json", str(folder / "fix.json")]) == 0
    return folder


def test_every_dead_channel_is_repaired(fixed: Path) -> None:
    fix = read_back(ModelRepair, (fixed / "fix.json").read_text(encoding="utf-8"))
    assert (fix.fixed_count, len(fix.refused_channels)) == (42, 0)
    depthwise = {layer.name: len(layer.channels) for layer in fix.batchnorms if ".dw_bn" in layer.name}
    assert depthwise == {
        f"blocks.{i}.dw_bn": n for i, n in ((0, 10), (1, 2), (2, 2), (5, 1), (10, 1), (11, 1), (12, 4))
    }
    change, before, after = fix.float_change, fix.before, fix.after
    assert change is not None and before is not None and after is not None
    assert change.relative_delta < 1e-5
    kept, lost, left = (top1_of(found.task) for found in (change, before, after))
    assert kept is not None and lost is not None and left is not None
    assert kept.reference_percent == kept.simulated_percent
    assert lost.simulated_percent < 25.0 < 50.0 < left.simulated_percent


@pytest.fixture(scope="module")
def mobilenet(real_data: Path, fixed: Path) -> dict[str, PairedCounts]:
    """Under other schemes, and with the tensors that `qdiag fix-bn` has written, on all photographs."""
    request = DataRequest(str(real_data / PHOTOGRAPHS), preprocessing=preset("tf").override(crop=224))
    with open_session() as session:
        case = untreated(session, real_data, MOBILENET, "mobilenet_v1_075", request, "tf-uint8")
        assert (case.calibration.sample_count, case.measured.sample_count) == (100, 500)
        written = load_file(fixed / "fixed.safetensors")
        changes = {name: value for name, value in written.items() if not torch.equal(value, case.tensors[name])}
        assert len(changes) == 14
        repaired = with_tensors(session, case, changes, recalibrate=True)
        cases = {
            "weights only": with_scheme(session, case, case.scheme.only("weights")),
            "activations only": with_scheme(session, case, case.scheme.only("activations")),
            "int8 per channel": with_scheme(session, case, load_preset("int8")),
            "repaired, float": without_quantizers(repaired),
            "repaired": repaired,
        }
        return scored(session, cases)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("weights only", 9.2),
        ("activations only", 77.4),
        ("int8 per channel", 76.2),
        ("repaired, float", 76.4),
        ("repaired", 65.4),
    ],
)
def test_mobilenet_v1_survives_as_published(name: str, expected: float, mobilenet: dict[str, PairedCounts]) -> None:
    found = mobilenet[name]
    assert found.reference_percent == pytest.approx(76.4, abs=2.0)
    assert found.simulated_percent == pytest.approx(expected, abs=2.0)
    if name == "repaired, float":
        assert found.simulated_percent == found.reference_percent


CIFAR = {
    "resnet20_cifar10": "imagenet-stats",
    "resnet56_cifar10": "imagenet-stats",
    "nin_cifar10": "cifar10",
}


def under_both(request: DataRequest, folder: Path, weights: str, arch: str) -> dict[str, PairedCounts]:
    """Right answers under `int8` and under `tf-uint8`."""
    with open_session() as session:
        case = untreated(session, folder, weights, arch, request, "int8")
        return scored(session, {"int8": case, "tf-uint8": with_scheme(session, case, load_preset("tf-uint8"))})


@pytest.mark.parametrize("name", CIFAR)
def test_healthy_networks_stay_within_half_a_point(name: str, real_data: Path) -> None:
    data = str(real_data / "cifar10_test2000.npz")
    request = DataRequest(data, preprocessing=preset(CIFAR[name]), samples=1000, calib_samples=100)
    found = under_both(request, real_data, name, name)
    assert {scheme for scheme, top1 in found.items() if top1.sample_count == 1000 and top1.drop_pp <= 0.5} == {
        "int8",
        "tf-uint8",
    }


def test_a_healthy_network_with_dead_channels(real_data: Path) -> None:
    """1,540 dead BatchNorm channels do no harm here: 500 images cannot tell the drop from half a point."""
    data = str(real_data / "vww96_600.npz")
    request = DataRequest(data, preprocessing=preset("none"), samples=500, calib_samples=100)
    found = under_both(request, real_data, "mobilenet_v1_0.25_vww96", "mobilenet_v1_025_vww")
    assert set(found) == {"int8", "tf-uint8"}
    for top1 in found.values():
        assert top1.drop_interval_pp.low <= 0.5
        assert top1.drop_pp <= 1.5
