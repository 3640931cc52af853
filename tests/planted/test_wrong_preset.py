"""A network that is fed pixels prepared for another one, and its twin that is fed its own: told before any cause."""

import copy
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

import qdiag
from qdiag.cli.app import run
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.preprocessing import PreprocessingCheck
from qdiag.loaders.images.preprocessing import preset
from qdiag.reading.words.causes import headline
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.writers.json.diagnosis import read_diagnosis
from tests.networks.prepared import draw_pictures, save_folder, save_program, trained_classifier
from tests.wrapped_commands import on_one_line

OWN = "imagenet-stats"
PICTURES = draw_pictures(160, seed=2)
FEW = ("--no-sensitivity", "--no-bits", "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    save_program(trained_classifier(OWN), folder / "net.pt2")
    save_folder(PICTURES, folder / "pictures")
    np.savez(folder / "pictures.npz", images=PICTURES.images, labels=PICTURES.labels)
    np.savez(folder / "unlabelled.npz", images=PICTURES.images)
    return folder


def check_of(measurement: Measurement) -> PreprocessingCheck:
    assert measurement.preprocessing is not None
    return measurement.preprocessing


def float_percent(measurement: Measurement) -> float:
    figure = measurement.task.figure("top-1")
    assert figure is not None and figure.counts is not None
    return figure.counts.reference_percent


@pytest.mark.usefixtures("one_picture_drawn")
@pytest.mark.parametrize("data", ["pictures", "pictures.npz"])
def test_the_printed_command_repairs_it(data: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / f"wrong-{data}"
    wrong = ["diagnose", str(files / "net.pt2"), "--data", str(files / data), "--preset", "none", *FEW]
    assert run([*wrong, "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    found = read_diagnosis(out)
    warning = preprocessing_warning(found.measurement)
    check = check_of(found.measurement)
    assert warning is not None
    assert float_percent(found.measurement) < 40.0
    assert check.float_percent is not None and check.float_percent < 40.0
    assert " ".join(warning.split()) in " ".join(printed.split())
    assert printed.index("do not seem to be prepared") < printed.index(headline(found)[:20]), "before the verdict"
    for report, verdict in (("report.md", f"**{headline(found)[:20]}"), ("report.html", f"<h1>{headline(found)[:20]}")):
        text = (out / report).read_text(encoding="utf-8")
        assert text.index("do not seem to be prepared") < text.index(verdict)
    lines = map(str.strip, on_one_line(printed).splitlines())
    (command,) = [line for line in lines if line.startswith("qdiag diagnose")]
    assert command in on_one_line((out / "report.md").read_text(encoding="utf-8"))
    again = files / f"again-{data}.json"
    assert run([*shlex.split(command)[1:], *FEW, "--json", str(again)]) == 0
    assert "do not seem to be prepared" not in capsys.readouterr().out
    repaired = read_diagnosis(again).measurement
    assert float_percent(repaired) > 95.0
    assert not check_of(repaired).is_doubtful


def test_sqnr_says_it_and_the_healthy_twin_is_silent(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, is_wrong in (("none", True), (OWN, False)):
        options = ["sqnr", str(files / "net.pt2"), "--data", str(files / "pictures.npz"), "--preset", name]
        assert run([*options, "--device", "cpu", "--quiet", "--json", str(files / "r.json")]) == 0
        printed = capsys.readouterr().out
        stored = json.loads((files / "r.json").read_text(encoding="utf-8"))["preprocessing"]
        assert stored["is_doubtful"] is is_wrong
        assert ("do not seem to be prepared" in printed) is is_wrong
        assert bool(stored["trials"]) is is_wrong, "a network whose inputs fit costs no trials"


def test_without_labels_the_statistics_tell(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [
        "sqnr",
        str(files / "net.pt2"),
        "--data",
        str(files / "unlabelled.npz"),
        "--preset",
        "tf",
        "--device",
        "cpu",
    ]
    assert run([*wrong, "--quiet", "--json", str(files / "r.json")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "What reaches the first BatchNorm, bn1, is not what it saw there" in printed
    assert f"With --preset {OWN} its mean is" in printed or "With --preset cifar10 its mean is" in printed
    assert "float top-1" not in printed


def test_the_order_of_the_channels_shows_in_the_answers_alone(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["sqnr", str(files / "net.pt2"), "--data", str(files / "pictures"), "--preset", OWN, "--device", "cpu"]
    assert run([*options, "--quiet", "--channel-order", "bgr"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "with --preset imagenet-stats it is" in printed or "with --channel-order rgb it is" in printed
    assert "What reaches the first BatchNorm" not in printed


def test_without_batchnorm_the_answers_tell_and_without_labels_nothing(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = copy.deepcopy(trained_classifier(OWN))
    network.conv1, network.bn1 = fuse_conv_bn_eval(network.conv1, network.bn1), torch.nn.Identity()  # type: ignore[assignment]
    network.conv2, network.bn2 = fuse_conv_bn_eval(network.conv2, network.bn2), torch.nn.Identity()  # type: ignore[assignment]
    save_program(network, files / "folded.pt2")
    for data, is_said in (("pictures.npz", True), ("unlabelled.npz", False)):
        options = [
            "sqnr",
            str(files / "folded.pt2"),
            "--data",
            str(files / data),
            "--preset",
            "none",
            "--device",
            "cpu",
        ]
        assert run([*options, "--quiet", "--json", str(files / "f.json")]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert ("with --preset imagenet-stats it is 100 %" in printed) is is_said
        assert (json.loads((files / "f.json").read_text(encoding="utf-8"))["preprocessing"] is not None) is is_said


class TwoHeads(torch.nn.Module):
    """The classifier, and beside it the same answers one class further."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained_classifier(OWN)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.network(x)
        return {"moved": y.roll(1, dims=1), "right": y * 1.0}


def test_the_judged_output_decides_and_a_kept_pass_of_another_is_not_taken(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_program(TwoHeads().eval(), files / "two.pt2")
    for output, percent in (("right", 100.0), ("moved", 0.0)):
        options = ["sqnr", str(files / "two.pt2"), "--data", str(files / "pictures.npz"), "--preset", OWN]
        assert run([*options, "--output", output, "--device", "cpu", "--quiet", "--json", str(files / "t.json")]) == 0
        stored = json.loads((files / "t.json").read_text(encoding="utf-8"))["preprocessing"]
        assert stored["float_percent"] == percent
        assert stored["is_doubtful"] is False, "no other preset is better, so the inputs are not blamed"
        assert "do not seem to be prepared" not in capsys.readouterr().out


def test_arrays_that_python_prepared_are_held_against_the_statistics() -> None:
    network, labels = trained_classifier(OWN), torch.from_numpy(PICTURES.labels)
    right, wrong = (preset(name).apply_batch(PICTURES.images) for name in (OWN, "caffe"))
    assert not check_of(qdiag.measure(network, (right, labels))).is_doubtful
    found = qdiag.measure(network, (wrong, labels))
    assert check_of(found).is_doubtful and check_of(found).trials == ()
    assert "Check how they are scaled" in (preprocessing_warning(found) or "")
    assert qdiag.measure(network, wrong[:7]).preprocessing is None, "seven samples are no statistics"


def test_nothing_to_judge_by(files: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    assert qdiag.measure(plain, torch.rand(16, 3, 8, 8)).preprocessing is None
    drawn = ["sqnr", str(files / "net.pt2"), "--input-shape", "1,3,16,16", "--device", "cpu", "--quiet"]
    assert run([*drawn, "--json", str(files / "d.json")]) == 0
    assert json.loads((files / "d.json").read_text(encoding="utf-8"))["preprocessing"] is None


@pytest.mark.parametrize("name", ["none", "tf"])
def test_a_network_of_another_preset_is_healthy_on_its_own(name: str) -> None:
    inputs = preset(name).apply_batch(PICTURES.images)
    found = qdiag.measure(trained_classifier(name), (inputs, torch.from_numpy(PICTURES.labels)))
    assert not check_of(found).is_doubtful
