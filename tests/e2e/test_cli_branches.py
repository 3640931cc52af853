"""`qdiag branches` from the command line to what is written, on a RepVGG with the gain of the source's layer 5."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.cli.app import run
from qdiag.core.measures.branches import BranchesReport
from qdiag.writers.plots.branches import pictures
from qdiag.zoo import build
from tests.stored import read_back

ARCH = "zoo:repvgg_small?width=0.25&classes=3"
PLANTED, CHANNEL, GAIN = "stage1.1", 2, 692.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`net.pth` and `data.npz`: a channel that hardly varies, which the identity of the next block makes up for."""
    folder = tmp_path_factory.mktemp("branches")
    torch.manual_seed(0)
    model = build("repvgg_small", {"width": 0.25, "classes": 3})
    x = torch.randn(48, 3, 8, 8)
    model.train()
    with torch.no_grad():
        for _ in range(30):
            model(x)
        model.eval()
        before, block = (model.get_submodule(name) for name in ("stage1.0", PLANTED))
        for norm in ("rbr_dense.bn", "rbr_1x1.bn", "rbr_identity"):
            for tensor in before.get_submodule(norm).parameters():
                tensor[CHANNEL] /= GAIN
        for conv in ("rbr_dense.conv", "rbr_1x1.conv"):
            weight = block.get_submodule(conv).weight
            assert isinstance(weight, nn.Parameter)
            weight[:, CHANNEL] *= GAIN * 0.01
        identity = block.get_submodule("rbr_identity")
        assert isinstance(identity, nn.BatchNorm2d) and identity.running_var is not None
        identity.weight[CHANNEL] = GAIN * float((identity.running_var[CHANNEL] + identity.eps).sqrt())
        labels = model(x).argmax(1).numpy()
    torch.save(model.state_dict(), folder / "net.pth")
    images = x.numpy()
    np.savez(
        folder / "data.npz", calib_images=images[:16], calib_labels=labels[:16], images=images[16:], labels=labels[16:]
    )
    return folder


@pytest.fixture(scope="module")
def line(folder: Path) -> list[str]:
    return [
        *("branches", str(folder / "net.pth"), "--arch", ARCH, "--data", str(folder / "data.npz")),
        *("--scheme", "tf-uint8", "--device", "cpu", "--quiet"),
    ]


def test_the_planted_block_and_branch_are_named(
    folder: Path, line: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(
        pictures, "PICTURES", {"gains": pictures.PICTURES["gains"]}
    )  # drawing takes longer than all else
    assert run([*line, "--out", str(folder / "out")]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "weights: rbr_identity" in printed
    assert "S2: train without the BatchNorm on the identity of 1 block" in printed
    report = read_back(BranchesReport, (folder / "out" / "branches.json").read_text(encoding="utf-8"))
    broken = [block for block in report.blocks if block.c1 is not None and not block.c1.holds]
    assert [(block.name, block.c1 and block.c1.at_fault) for block in broken] == [(PLANTED, f"{PLANTED}.rbr_identity")]
    identity = report.block(PLANTED).identity
    assert identity is not None and identity.norm is not None
    assert identity.norm.gain_max_abs == pytest.approx(GAIN, rel=1e-5)
    assert identity.norm.widest_channel == CHANNEL
    assert report.float_relative_delta < 1e-4
    assert {repair.repair for repair in report.repairs if repair.score is not None} >= {"per_channel_weights"}
    with (folder / "out" / "branches.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["branch"] for row in rows if row["at_fault"] == "True"} == {f"{PLANTED}.rbr_identity"}
    assert len(list((folder / "out" / "plots").iterdir())) == 2


def test_a_deployed_network_has_no_branches_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["branches", f"{ARCH}&form=deployed", "--input-shape", "1,3,8,8", "--device", "cpu", "--quiet"]
    assert run([*command, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["blocks"] == []
    assert run(command) == 0
    assert "no parallel linear branches that a sum joins" in capsys.readouterr().out


def test_an_output_does_not_replace_the_data(folder: Path, line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*line, "--csv", str(folder / "data.npz")]) == 2
    assert "data.npz" in capsys.readouterr().err
