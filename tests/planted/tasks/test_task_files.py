"""What is written for commands can be read by them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qdiag
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.python_ref import load_object
from tests.planted.tasks import preset
from tests.planted.tasks.files import write_program, write_task_files
from tests.planted.tasks.registry import TASK_NETWORKS


@pytest.mark.parametrize("name", ["detector", "two_outputs", "recurrent_frames", "regression"])
def test_network_and_data_come_back(name: str, tmp_path: Path) -> None:
    network = TASK_NETWORKS[name]
    files = write_task_files(network, tmp_path)
    measured = network.data().measured
    datasets = open_datasets(DataRequest(str(files.data)))
    assert datasets.evaluation.sample_count == len(measured.inputs)
    batch = next(iter(datasets.evaluation))
    assert torch.equal(batch.tensors[0], measured.inputs[: batch.sample_count])
    assert batch.labels is not None
    _assert_same(batch.labels, measured.targets[: batch.sample_count])
    assert not open_datasets(DataRequest(str(files.unlabelled))).evaluation.is_labelled

    model = load_object(files.architecture)()
    model.load_state_dict(torch.load(files.weights, weights_only=True))
    expected = network.build()(measured.inputs[:3])
    found = model.eval()(measured.inputs[:3])
    write_program(network.build(), measured.inputs[:2], tmp_path / "net.pt2")
    read = qdiag.load_model(str(tmp_path / "net.pt2")).model.module()(measured.inputs[:3])
    for one in (found, read, load_object(files.trained)()(measured.inputs[:3])):
        torch.testing.assert_close(one, expected)


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
        return
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in other)


def test_photographs_are_pixels(tmp_path: Path) -> None:
    with np.load(preset.write_photographs(tmp_path)) as archive:
        assert archive["eval_images"].dtype == np.uint8
        assert archive["eval_images"].shape == (240, 16, 16, 3)
