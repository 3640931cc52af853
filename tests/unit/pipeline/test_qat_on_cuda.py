"""Training on a GPU, where there is one: what it writes holds on the CPU, and comes out the same again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import qdiag
from qdiag.pipeline.training.api import TrainedNetwork
from tests.unit.train.networks import learned, stripes

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SETTINGS = {
    "moving average": qdiag.TrainingSettings(epochs=2, batch_size=16, learning_rate=0.02, averaging_constant=0.2),
    "learned": qdiag.TrainingSettings(
        epochs=2, batch_size=16, learning_rate=0.003, ranges="learned", freeze_bn_after=1, optimizer="adam"
    ),
}
SCHEME = qdiag.load_scheme("tf-uint8", ["weights.bits=2", "activations.bits=4"])
TRAINING, MEASURED = stripes(256, 4), stripes(48, 5)


def trained(kind: str) -> TrainedNetwork:
    return qdiag.qat(learned(), MEASURED, training=TRAINING, scheme=SCHEME, settings=SETTINGS[kind], device="cuda")


def measured(network: TrainedNetwork, device: str) -> qdiag.Measurement:
    return qdiag.measure(network.model, MEASURED, calibration=TRAINING, scheme=network.scheme, device=device)


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_was_trained_on_a_gpu_measures_alike_everywhere(kind: str) -> None:
    """Bit for bit on the same device; on the CPU sums are added in another order."""
    network = trained(kind)
    result = network.result
    assert result.after is not None and result.after.task.judged is not None and result.before.task.judged is not None
    assert result.after.task.judged.simulated > result.before.task.judged.simulated
    assert all(tensor.device.type == "cpu" for tensor in network.model.state_dict().values())  # type: ignore[union-attr]
    again = measured(network, "cuda")
    assert (again.outputs, again.task) == (result.after.outputs, result.after.task)
    on_cpu = measured(network, "cpu")
    assert on_cpu.task.judged is not None
    assert on_cpu.task.judged.simulated == pytest.approx(result.after.task.judged.simulated, abs=100.0 / 48 + 1e-9)
    for own, theirs in zip(on_cpu.records, again.records, strict=True):
        assert own.quantizer == theirs.quantizer
        assert own.local.sqnr_db == pytest.approx(theirs.local.sqnr_db, abs=0.2)
        assert own.propagated.sqnr_db == pytest.approx(theirs.propagated.sqnr_db, abs=0.5)


def test_torchrun_trains_on_a_gpu(tmp_path: Path) -> None:
    """One process with NCCL gives what there is without torchrun."""
    torch.save({"model": learned().state_dict()}, tmp_path / "net.pth")
    torch.save({"images": MEASURED[0], "labels": MEASURED[1]}, tmp_path / "data.pt")
    torch.save({"images": TRAINING[0], "labels": TRAINING[1]}, tmp_path / "train.pt")
    words = [
        "qat",
        "net.pth",
        "--arch",
        "tests.unit.train.networks:small",
        "--data",
        "data.pt",
        "--train-data",
        "train.pt",
    ]
    words += ["--scheme", "tf-uint8", "--set", "weights.bits=2", "--set", "activations.bits=4", "--device", "cuda"]
    words += ["--epochs", "2", "--train-batch", "16", "--learning-rate", "0.02", "--averaging-constant", "0.2"]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    found = []
    for name, launch in (
        ("plain", []),
        ("launched", ["torch.distributed.run", "--standalone", "--nproc-per-node", "1", "-m"]),
    ):
        line = [sys.executable, "-m", *launch, "qdiag", *words, "-o", f"{name}.pth"]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The trained network is written to") == 1
        found.append(torch.load(tmp_path / f"{name}.pth")["model"])
    one, other = found
    assert all(torch.equal(value, other[name]) for name, value in one.items())
