"""Two processes that `torchrun` starts train as one does with the whole of each batch.

What holds: gradients are means over the samples of a batch, statistics of BatchNorms and ranges are those of the whole
batch, so that the two differ by the order in which float32 sums are added up. A value that lies next to the border of
two integers may then be rounded the other way.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.cli.app import run
from qdiag.errors import ConfigError
from qdiag.train.processes import Processes
from tests.e2e.test_cli_qat import NETWORK
from tests.unit.train.networks import learned, stripes

LAUNCHED = """
import json, os, sys
from pathlib import Path
import torch.distributed as dist
from qdiag.cli.app import run
from qdiag.train.loop import Training

leave, dist.destroy_process_group = dist.destroy_process_group, lambda: None  # joining takes seconds
train, rank = Training._train, os.environ["RANK"]

def stop(self, epoch):
    if epoch == 2:
        raise KeyboardInterrupt
    return train(self, epoch)

codes = {}
for name, line in json.loads(Path("lines.json").read_text()).items():
    Training._train = stop if name == "stopped" else train
    codes[name] = run([word.replace("{rank}", rank) for word in line])
Path(f"codes{rank}.json").write_text(json.dumps(codes))
leave()
"""
IN_FLOAT = ["--quant-delay", "1000", "--set", "weights.bits=8", "--set", "activations.bits=8"]
KINDS = {
    "float": [*IN_FLOAT, "--learning-rate", "0.02"],
    "kept": [*IN_FLOAT, "--learning-rate", "0.02", "--no-fold"],
    "frozen": [
        *("--freeze-bn-after", "0", "--ranges", "learned", "--learning-rate", "0.01", "--set", "activations.bits=4")
    ],
    "synchronized": ["--learning-rate", "0.02", "--epochs", "2"],
}
"""Trainings; by their tolerance, the first two in float, the others with quantizers."""
FLOAT, QUANTIZED = 2e-5, 2e-3
"""Largest difference as a share of the largest change that the training made."""


def line(out: str, *more: str) -> list[str]:
    words = ["qat", "net.pth", "--arch", "./net.py:make", "--data", "data.npz", "--device", "cpu", "-q"]
    words += ["--scheme", "tf-uint8", "--set", "weights.bits=2", "--set", "activations.bits=3", "--no-cache"]
    words += ["--epochs", "1", "--averaging-constant", "0.2", "--train-batch", "15"]
    return [*words, "-o", f"{out}.pth", "--json", f"{out}.json", *more]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All trainings by two processes, in one launch, and by one."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "net.py").write_text(NETWORK)
    (folder / "launched.py").write_text(LAUNCHED)
    torch.save({"model": learned().state_dict()}, folder / "net.pth")
    images, labels = (value.numpy() for value in stripes(176, 4))
    parts = {"calib_images": images[:128], "calib_labels": labels[:128], "images": images[128:], "labels": labels[128:]}
    np.savez(folder / "data.npz", **parts)
    lines = {name: line(f"two-{name}", *more) for name, more in KINDS.items()}
    again = line("resumed", *KINDS["synchronized"])
    lines |= {"stopped": again, "resumed": again, "other seeds": line("no", "--seed", "{rank}")}
    (folder / "lines.json").write_text(json.dumps(lines))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "launched.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, more in KINDS.items():
            assert run(line(f"one-{name}", *more)) == 0
    return folder


def tensors(folder: Path, name: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(folder / f"{name}.pth")["model"]
    return {key: value for key, value in found.items() if value.is_floating_point()}


def result(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one_does(kind: str, folder: Path) -> None:
    """Weights, statistics of BatchNorms, ranges and losses."""
    tolerance = FLOAT if "--quant-delay" in KINDS[kind] else QUANTIZED
    one, two, before = (tensors(folder, name) for name in (f"one-{kind}", f"two-{kind}", "net"))
    moved = {name for name, value in one.items() if not torch.equal(value, before[name])}
    assert moved == {name for name, value in two.items() if not torch.equal(value, before[name])}
    assert ("1.running_mean" in moved) == (kind != "frozen") and "0.weight" in moved
    for name in moved:
        change = float((one[name] - before[name]).abs().max())
        assert float((two[name] - one[name]).abs().max()) <= tolerance * max(change, 0.01), name
    own, theirs = (ranges(folder, f"{count}-{kind}") for count in ("two", "one"))
    assert own == pytest.approx(theirs, rel=tolerance) and len(theirs) >= 8
    own, theirs = (losses(folder, f"{count}-{kind}") for count in ("two", "one"))
    assert own == pytest.approx(theirs, rel=tolerance)
    records = [result(folder, f"{count}-{kind}")["training"] for count in ("two", "one")]
    assert [record["process_count"] for record in records] == [2, 1]


def ranges(folder: Path, name: str) -> list[float]:
    scheme = (folder / f"{name}.scheme.toml").read_text(encoding="utf-8").splitlines()
    found = [row.removeprefix("range = [").removesuffix("]").split(", ") for row in scheme if row.startswith("range =")]
    return [float(end) for pair in found for end in pair]


def losses(folder: Path, name: str) -> list[float]:
    epochs = result(folder, name)["training"]["epochs"]
    return [float(epoch[key]) for epoch in epochs[1:] for key in ("training_loss", "loss", "float_loss")]


@pytest.mark.slow
def test_half_of_each_batch_alone_would_differ(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tolerances above tell the whole batch from a part of it."""
    monkeypatch.chdir(folder)
    for kind in ("float", "synchronized"):
        assert run([*line("half", *KINDS[kind]), "--train-batch", "8", "--force"]) == 0
        half, one, before = (tensors(folder, name) for name in ("half", f"one-{kind}", "net"))
        far = [float((half[n] - one[n]).abs().max() / (one[n] - before[n]).abs().max()) for n in ("0.weight", "8.bias")]
        assert min(far) > 0.05


@pytest.mark.slow
def test_a_stopped_training_of_two_goes_on_with_the_same_numbers(folder: Path) -> None:
    whole, resumed = (tensors(folder, name) for name in ("two-synchronized", "resumed"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert result(folder, "resumed")["training"]["is_resumed"]
    assert not list(folder.glob("*.training"))


@pytest.mark.slow
def test_the_first_process_prints_and_all_end_alike(folder: Path) -> None:
    expected = {**dict.fromkeys([*KINDS, "resumed"], 0), "stopped": 130, "other seeds": 2}
    for rank in (0, 1):
        assert json.loads((folder / f"codes{rank}.json").read_text()) == expected
    text, errors = ((folder / name).read_text() for name in ("stdout", "stderr"))
    assert text.count("Trained: written to") == len(KINDS) + 1
    assert "by 2 processes" in text
    assert "of process 1 differ from those of the first process" in errors and "process: 1" in errors


def test_each_process_has_its_own_samples() -> None:
    batch = Batch((torch.arange(5.0).view(5, 1),), labels=torch.arange(5))
    parts = [Processes(rank, 2).part(batch) for rank in (0, 1)]
    assert [part.labels.tolist() for part, _ in parts] == [[0, 2, 4], [1, 3]]
    assert [share for _, share in parts] == [0.6, 0.4]
    with pytest.raises(ConfigError, match="6 processes, but 5 samples in a batch"):
        Processes(5, 6).part(batch)
