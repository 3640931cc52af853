"""Whether a diagnosis may train: what is told before anything is read, and the words that lead back to the samples."""

from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.training import RankedTrainingOptions


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "d.npz", "--train-data", "t.npz"], "say how many minutes training may take"),
        (["--data", "d.npz", "--train", "5", "--train-data", "./d.npz"], "train on other samples than those measured"),
        (["--data", "d.npz", "--train-layers", "fc"], "say how many minutes training may take"),
        (["--train", "5"], "drawn inputs are no samples to train on"),
    ],
)
def test_what_cannot_be_trained_on_is_said_at_once(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are there, and hold nothing that could be read."""
    monkeypatch.chdir(tmp_path)
    for name in ("net.pt2", "d.npz", "t.npz"):
        Path(name).touch()
    assert run(["diagnose", "net.pt2", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_words_divide_the_data_as_the_diagnosis_did() -> None:
    leave = RankedTrainingOptions(train=5.0)
    assert leave.words(DataOptions(data="d.npz")) == ("--train-share", "0.25", "--train-samples", "128")
    apart = DataOptions(data="d.npz", calib_data="c.npz", calib_samples=64)
    assert leave.words(apart) == ("--train-data", "c.npz", "--train-samples", "64")
    own = RankedTrainingOptions(train=5.0, train_data="t.npz")
    assert own.words(apart) == ("--train-data", "t.npz")


def test_the_layers_that_may_move_are_those_of_the_command() -> None:
    leave = RankedTrainingOptions(train=5.0, train_data="t.npz", train_layers=["blocks.0.*", "fc"])
    words = ("--train-data", "t.npz", "--layers", "blocks.0.*", "--layers", "fc")
    assert leave.words(DataOptions(data="d.npz")) == words
