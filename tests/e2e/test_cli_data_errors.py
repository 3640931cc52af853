"""Data and parts that do not fit the network: exit code 2, and the message names the file."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from qdiag.cli.app import run
from tests.models import KINDS


@pytest.fixture
def network(tmp_path: Path) -> str:
    path = tmp_path / "net.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(KINDS["plain"].build(), KINDS["plain"].inputs(2, 0)[0]), str(path))
    return str(path)


def data(path: Path, channels: int = 3, **arrays: np.ndarray) -> str:
    images = np.random.default_rng(0).standard_normal((20, channels, 16, 16)).astype(np.float32)
    np.savez(path, images=images, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("channels", "arrays", "message"),
    [
        (5, {}, "does not accept inputs of shape (2, 5, 16, 16)"),
        (3, {"labels": np.full(20, 10)}, "label 10 is outside 0 to 9"),
        (3, {"labels": np.full(20, -1)}, "label -1 is outside 0 to 9"),
    ],
)
def test_data_that_does_not_fit_is_named(
    channels: int,
    arrays: dict[str, np.ndarray],
    message: str,
    network: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = data(tmp_path / "data.npz", channels, **arrays)
    assert run(["sqnr", network, "--data", file, "--quiet", "--json", str(tmp_path / "r.json")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert f"where: {file}" in error
    assert not (tmp_path / "r.json").exists()


def test_a_part_of_torchscript_is_refused_in_words(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data(tmp_path / "data.npz")
    part = next(name for name, _ in KINDS["plain"].build().named_children())
    assert run(["sqnr", network, "--submodule", part, "--data", file, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "part of a TorchScript file" in error
    assert f"where: {network}: {part}" in error


def test_labels_that_fit_no_output_are_refused(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data(tmp_path / "data.npz", labels=np.full(20, 2.5))
    assert run(["sqnr", network, "--data", file, "--quiet"]) == 2
    assert "fit no output" in " ".join(capsys.readouterr().err.split())


def test_objects_in_a_pt_file_of_data_get_no_advice_to_run_them(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"images": Path("x")}, tmp_path / "data.pt")
    assert run(["sqnr", network, "--data", str(tmp_path / "data.pt"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "objects other than tensors" in error
    assert "weights_only" not in error


@pytest.mark.parametrize("command", ["sqnr", "ranges"])
@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_what_is_read_is_never_written_over(
    command: str, option: str, network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data(tmp_path / "data.npz")
    for target in (file, network):
        before = Path(target).read_bytes()
        assert run([command, network, "--data", file, option, target]) == 2
        assert f"where: {target}" in capsys.readouterr().err
        assert Path(target).read_bytes() == before


def test_two_outputs_in_one_file_are_refused(network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "both")
    assert run(["bn", network, "--json", target, "--csv", target]) == 2
    assert "two options would write to the same file" in " ".join(capsys.readouterr().err.split())
    assert not Path(target).exists()
