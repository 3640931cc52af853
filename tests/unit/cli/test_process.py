"""Several processes that `torchrun` started say once what is wrong with their command line."""

import pytest

from qdiag.cli.app import run
from qdiag.cli.console import print_error
from qdiag.cli.process import let_the_other_speak
from qdiag.errors import ConfigError


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that processes waited, in two that `torchrun` started; nothing really waits."""
    found: list[float] = []
    monkeypatch.setattr("qdiag.cli.process.time.sleep", found.append)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    monkeypatch.setenv("WORLD_SIZE", "2")
    return found


def be(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("LOCAL_RANK", str(rank))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sqnr", "nowhere.pt2"], "no such file"),
        (["rank", "zoo:resnet18", "--data", "nowhere/"], "no such file or folder"),
        (["diagnose", "zoo:resnet18", "--wrong"], "--wrong"),
        (["sqnr", "zoo:resnet18", "--samples", "many"], "--samples"),
        (["sensitivity"], "MODEL"),
        (["check", "zoo:resnet18"], "qdiag check runs in one process"),
    ],
)
def test_the_first_process_says_it_and_the_others_wait_until_it_has(
    words: list[str],
    message: str,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`torchrun` ends all processes when one has ended, also the one that was about to print."""
    be(0, monkeypatch)
    assert run(words) == 2
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and message in said and not waited
    be(1, monkeypatch)
    assert run(words) == 2
    assert capsys.readouterr() == ("", "")
    assert len(waited) == 1 and waited[0] > 1.0


def test_an_error_of_the_second_process_is_said_by_it(
    waited: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("a label is wrong")
    error.process = 1
    for rank in (0, 1):
        be(rank, monkeypatch)
        print_error(error)
        let_the_other_speak(error.process)
        assert ("a label is wrong" in capsys.readouterr().err) == (rank == 1)
        assert len(waited) == 1


def test_one_process_never_waits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("qdiag.cli.process.time.sleep", lambda _: pytest.fail("it waits"))
    assert run(["sqnr", "nowhere.pt2"]) == 2
    assert "no such file" in capsys.readouterr().err
