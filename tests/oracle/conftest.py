"""Two processes, started once for everything that is said of several."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.e2e.test_cli_qat import NETWORK
from tests.unit.train.networks import learned, stripes

LAUNCHED = """
import os
from pathlib import Path
import torch
from qdiag.cli import process
from qdiag.cli.app import run
from qdiag.errors import ConfigError
from qdiag.train.loop import Training
from qdiag.train.processes import joined
from qdiag.train.saved_state import StateFile
from tests.oracle.test_measured_by_two import measure_and_end
from tests.oracle.test_processes_against_one import CLI, KINDS, trained, values

rank, process._TIME_TO_SPEAK = int(os.environ["RANK"]), 0.0  # what follows an error is not ended by torchrun here
with joined(torch.device("cpu")) as processes:
    found = {kind: values(trained(kind, processes)) for kind in KINDS}
    train = Training._train

    def stop(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return train(self, epoch)

    Training._train, state = stop, StateFile(Path("state"), "key")
    try:
        trained("quantized", processes, state)
    except KeyboardInterrupt:
        Training._train = train
    found["resumed"] = values(trained("quantized", processes, state))
    try:
        processes.check_alike(str(rank), "ranks")
    except ConfigError as error:
        found["differing"] = error.message
    found["code"] = run([*CLI, "--seed", "1"])
    found["seeds differ"] = run([*CLI, "-o", "no.pth", "--seed", str(rank)])
    torch.save(found, f"found{rank}.pt")
    measure_and_end()
"""
METRICS = """
def score(outputs, targets):
    return (outputs.argmax(1) == targets).float() * 3.0

class Meter:
    def update(self, outputs, targets): ...
    def reset(self): ...
    def compute(self): return 1.0
"""


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each of two processes found and wrote, and what was printed; the second one was killed."""
    folder = tmp_path_factory.mktemp("processes")
    write_inputs(folder)
    images, labels = (value.numpy() for value in stripes(176, 4))
    np.savez(folder / "data.npz", images=images, labels=labels)
    (folder / "launched.py").write_text(LAUNCHED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "launched.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    environment["QDIAG_CACHE_DIR"] = str(folder / "cache")
    done = subprocess.run(launch, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert (folder / "ended").exists(), done.stderr
    assert done.returncode == 1 and "Signal 9 (SIGKILL)" in done.stderr
    (folder / "printed.json").write_text(json.dumps([done.stdout, done.stderr]))
    return folder


def write_inputs(folder: Path) -> None:
    """A checkpoint, its network with metrics beside it, and images of stripes, one set of them with a wrong label."""
    (folder / "net.py").write_text(NETWORK + METRICS)
    torch.save({"model": learned().state_dict()}, folder / "net.pth")
    images, labels = (value.numpy() for value in stripes(98, 4))
    parts = {"calib_images": images[:37], "calib_labels": labels[:37], "images": images[37:], "labels": labels[37:]}
    np.savez(folder / "few.npz", **parts)
    wrong = labels.copy()
    wrong[37 + 50] = -7
    np.savez(folder / "wrong.npz", **{**parts, "labels": wrong[37:]})
