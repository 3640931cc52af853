"""A planted network and its data as files, for commands."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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
        weights: a state dict, whose network is built by `architecture`. trained: builds the network with its weights.
            metric: the plain metric of the task. These three are references `file.py:function`.
        data: `.npz` with inputs and targets to calibrate on and to measure on. unlabelled: the same without targets.
    """

    weights: Path
    architecture: str
    trained: str
    metric: str
    data: Path
    unlabelled: Path

    @property
    def by_weights(self) -> tuple[str, ...]:
        """Arguments of a command: the state dict, its architecture, and the data with targets."""
        return (str(self.weights), "--arch", self.architecture, "--data", str(self.data))


def write_task_files(network: TaskNetwork | str, folder: Path, *, sample_count: int | None = None) -> TaskFiles:
    """Writes a planted network and its data into a folder that exists.

    Args:
        sample_count: how many to measure on; all where it is None.
    """
    network = TASK_NETWORKS[network] if isinstance(network, str) else network
    model, data = network.build(), network.data()
    measured = Samples(data.measured.inputs[:sample_count], data.measured.targets[:sample_count])
    code = folder / f"{network.name}.py"
    code.write_text(_CODE.format(name=network.name, root=str(ROOT)), encoding="utf-8")
    files = TaskFiles(
        weights=folder / f"{network.name}.pt",
        architecture=f"{code}:network",
        trained=f"{code}:trained",
        metric=f"{code}:metric",
        data=folder / f"{network.name}.npz",
        unlabelled=folder / f"{network.name}_unlabelled.npz",
    )
    torch.save(model.state_dict(), files.weights)
    inputs = {"calib_inputs": data.calibration.inputs.numpy(), "eval_inputs": measured.inputs.numpy()}
    targets = _arrays("calib_targets", data.calibration.targets) | _arrays("eval_targets", measured.targets)
    np.savez(files.data, **inputs, **targets)
    np.savez(files.unlabelled, **inputs)
    return files


def write_program(model: nn.Module, inputs: Tensor, path: Path) -> None:
    """Exports a network for batches of any size."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The tensor attribute", category=UserWarning)  # those of a GRU
        program = torch.export.export(model, (inputs,), dynamic_shapes=({0: batch},), strict=False)
    torch.export.save(program, path)


def _arrays(name: str, targets: Any) -> dict[str, Any]:
    """One array; or for boxes of all images one after another, how many belong to each."""
    if isinstance(targets, torch.Tensor):
        return {name: targets.numpy()}
    joined = {f"{name}.{key}": torch.cat([target[key] for target in targets]).numpy() for key in targets[0]}
    return {f"{name}.counts": np.array([len(target["boxes"]) for target in targets]), **joined}
