"""Programs that nobody trusts run in a child process first: endless loops, crashes and floods become errors."""

import os
import signal
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.errors import LoadError, QdiagError
from qdiag.loaders import probe as probes
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.preparation import trial
from qdiag.pipeline.preparation.trial import try_apart

pytestmark = pytest.mark.usefixtures("child_reads_first")
EXAMPLE = Batch((torch.ones(2, 3),))


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool((x * 0.0).sum() == 0.0):
            x = x + 1.0
        return x


class Floods(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros([1 << 40]).sum()


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x


def script(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(network).save(str(path))  # type: ignore[no-untyped-call]
    return path


def test_a_loop_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "RUN_SECONDS_MAX", 0.5)
    subject = load_subject(script(Endless(), tmp_path / "x.ts"))
    with pytest.raises(LoadError, match="running it on its first samples did not end within") as caught:
        try_apart(subject, EXAMPLE)
    assert caught.value.at == str(tmp_path / "x.ts")
    assert "`trust`" in str(caught.value.hint)
    with pytest.raises(ChildProcessError):  # nobody is left to wait for
        os.waitpid(-1, os.WNOHANG)


def test_a_flood_of_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="running it on its first samples asks for more than"):
        try_apart(load_subject(script(Floods(), tmp_path / "x.ts")), EXAMPLE)


@pytest.mark.parametrize("what", ["Original", "capture"])
def test_a_crash_while_it_runs_or_is_captured_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    subject = load_subject(script(nn.ReLU(), tmp_path / "x.ts"))
    monkeypatch.setattr(trial, what, crash)
    with pytest.raises(LoadError, match="running it on its first samples crashed torch \\(SIGSEGV\\)"):
        try_apart(subject, EXAMPLE)


def test_ordinary_errors_are_left_to_the_run(tmp_path: Path) -> None:
    try_apart(load_subject(script(Fails(), tmp_path / "x.ts")), EXAMPLE)


def test_what_is_trusted_or_no_program_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "probe", lambda *_, **__: pytest.fail("it ran in a child"))
    path = script(nn.ReLU(), tmp_path / "x.ts")
    try_apart(load_subject(path, trust=True), EXAMPLE)
    try_apart(load_subject("zoo:mobilenet_v1_small?width=0.25"), EXAMPLE)
    assert not load_subject(path, trust=True).is_untrusted
    assert load_subject(path).is_untrusted


def test_every_run_begins_with_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With data and with drawn inputs."""
    from qdiag.cli.app import run

    monkeypatch.setattr(probes, "RUN_SECONDS_MAX", 0.3)
    monkeypatch.chdir(tmp_path)
    script(Endless(), tmp_path / "x.ts")
    torch.save(torch.ones(4, 3), tmp_path / "data.pt")
    asked = []
    monkeypatch.setattr(trial, "probe", lambda *_, **options: asked.append(options["deed"]) or _refuse())
    assert run(["sqnr", "x.ts", "--data", "data.pt"]) == 2
    assert run(["sqnr", "x.ts", "--input-shape", "1,3"]) == 2
    assert asked == ["running it on its first samples"] * 2


def _refuse() -> None:
    raise QdiagError("refused")
