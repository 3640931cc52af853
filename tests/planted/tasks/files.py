"""A planted network and its data as files, for commands."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.planted.tasks.registry import TASK_NETWORKS
from tests.planted.tasks.task_network import Samples, TaskNetwork

ROOT = Path(__file__).resolve().parents[3]

_CODE = '''"""What a user would have beside the weights of {name}."""

import sys

sys.path.insert(0, {root!r})

from tests.planted.tasks.registry import TASK_NETWORKS


def network():
    return TASK_NETWORKS[{name!r}].architecture()


def trained():
    return TASK_NETWORKS[{name!r}].build()


def metric(outputs, targets):
    return TASK_NETWORKS[{name!r}].metric(outputs, targets)
'''


@dataclass(frozen=True)
class TaskFiles:
    """Paths of what was written.

    Attributes:
        program: `.pt2`. weights: a state dict, whose network is built by `architecture`. trained: builds the network
            with its weights. metric: the plain metric of the task. These three are references `file.py:function`.
        data: `.npz` with inputs and targets to calibrate on and to measure on, targets in one tensor.
        unlabelled: the same without targets.
        calibration_tree, measured_tree: `.pt` files of (inputs, targets) with the targets as the user holds them, a
            list of dictionaries for boxes.
    """

    program: Path
    weights: Path
    architecture: str
    trained: str
    metric: str
    data: Path
    unlabelled: Path
    calibration_tree: Path
    measured_tree: Path

    @property
    def by_weights(self) -> tuple[str, ...]:
        """Arguments of a command: the state dict, its architecture, and the data with targets."""
        return (str(self.weights), "--arch", self.architecture, "--data", str(self.data))


def write_task_files(network: TaskNetwork | str, folder: Path) -> TaskFiles:
    """Writes a planted network and its data into a folder that exists."""
    network = TASK_NETWORKS[network] if isinstance(network, str) else network
    model, data = network.build(), network.data()
    code = folder / f"{network.name}.py"
    code.write_text(_CODE.format(name=network.name, root=str(ROOT)), encoding="utf-8")
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The tensor attribute", category=UserWarning)  # those of a GRU
        program = torch.export.export(model, (data.measured.inputs[:2],), dynamic_shapes=({0: batch},), strict=False)
    files = TaskFiles(
        program=folder / f"{network.name}.pt2",
        weights=folder / f"{network.name}.pt",
        architecture=f"{code}:network",
        trained=f"{code}:trained",
        metric=f"{code}:metric",
        data=folder / f"{network.name}.npz",
        unlabelled=folder / f"{network.name}_unlabelled.npz",
        calibration_tree=folder / f"{network.name}_calibration.pt",
        measured_tree=folder / f"{network.name}_measured.pt",
    )
    torch.export.save(program, files.program)
    torch.save(model.state_dict(), files.weights)
    inputs = {"calib_inputs": data.calibration.inputs.numpy(), "eval_inputs": data.measured.inputs.numpy()}
    targets = {"calib_targets": data.calibration.as_tensor.numpy(), "eval_targets": data.measured.as_tensor.numpy()}
    np.savez(files.data, **inputs, **targets)
    np.savez(files.unlabelled, **inputs)
    _write_tree(files.calibration_tree, data.calibration)
    _write_tree(files.measured_tree, data.measured)
    return files


def _write_tree(path: Path, samples: Samples) -> None:
    torch.save((samples.inputs, samples.targets), path)
