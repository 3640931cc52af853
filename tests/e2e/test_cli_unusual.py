"""Networks that a graph cannot hold, from the outside: exit code 2, the reason and its line, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from qdiag.cli.app import run

NETWORKS = Path(__file__).parents[1] / "networks" / "unusual.py"


@pytest.fixture
def data(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((48, 3, 8, 8)).astype(np.float32)
    images[::2] += 0.5  # means on both sides of zero
    np.savez(tmp_path / "data.npz", images=images)
    return str(tmp_path / "data.npz")


@pytest.mark.parametrize("command", ["sqnr", "diagnose", "ranges"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ValueBranch", "if x.mean() > 0.0: (converting a tensor to a Python boolean)"),
        ("BatchSizeBranch", "forward computes something else at another batch size"),
        ("DropoutLeftOn", "the network is random"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(
    command: str, name: str, reason: str, data: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "report")] if command == "diagnose" else ["--json", str(tmp_path / "r.json")]
    assert run([command, f"{NETWORKS}:{name}", "--data", data, "--quiet", *out]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert reason in " ".join(captured.err.split())
    assert "def forward" not in captured.err
    assert len(captured.err.splitlines()) <= 16
    assert not (tmp_path / "r.json").exists()
    assert not (tmp_path / "report" / "diagnosis.json").exists()


def test_a_data_dependent_shape_takes_a_few_lines(data: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Export used to print the graph that it gave up, over a thousand lines."""
    assert run(["sqnr", f"{NETWORKS}:RareBranch", "--data", data, "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    graph = captured.out.partition("\ngraph")[2].partition("\ntask")[0].splitlines()
    assert 3 <= len(graph) <= 12
    assert any("if x.amax() > 100.0" in line for line in graph)


def test_the_header_says_that_the_batch_size_is_frozen(data: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["sqnr", f"{NETWORKS}:FrozenBatch", "--data", data, "--quiet"]) == 0
    out = capfd.readouterr().out
    assert "holds for batches of 2 alone: measured at that batch size" in out
    assert "agrees with the network on" in out
