"""Real weights and images: a few of each; `benchmarks/integers.py` compares many."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from tests.deployed import Exported, export
from tests.processor import as_here

pytestmark = pytest.mark.real
pytest.importorskip("onnxruntime")

INT8 = as_here(load_preset("int8"))
EXACT = replace(INT8, arithmetic="ort")


def network(folder: Path, weights: str, arch: str) -> nn.Module:
    subject = load_subject(str(folder / f"{weights}.safetensors"), arch=f"{folder / 'networks.py'}:{arch}")
    assert isinstance(subject.model, nn.Module)
    return subject.model


def images(request: DataRequest) -> Batch:
    return next(iter(open_datasets(request).evaluation))


def differing(exported: Exported, layer: str) -> float:
    return float(np.mean(exported.integers()[layer] != exported.simulated[layer]))


def test_resnet20(real_data: Path) -> None:
    data = DataRequest(
        *(str(real_data / "cifar10_lossless200.npz"),),
        preprocessing=preset("imagenet-stats"),
        samples=24,
        calib_samples=4,
        batch_size=20,
    )
    batch = images(data)
    model = network(real_data, "resnet20_cifar10", "resnet20_cifar10")
    exported = export(model, (batch.args, {}), EXACT)
    assert len(exported.integers()) == 31
    assert exported.differing() == (0.0, 0)
    share, _ = export(model, (batch.args, {}), INT8).differing()
    assert 1e-4 < share < 0.02, "in float, ties are rounded otherwise"


def test_the_accumulator_of_a_mobilenet_wraps(real_data: Path) -> None:
    """Two dead channels of its first convolution have a bias that saturates: 3 % of its integers are wrong in float."""
    data = DataRequest(
        *(str(real_data / "imagenet_val_600"),),
        preprocessing=preset("tf").override(crop=112),
        samples=6,
        calib_samples=2,
        batch_size=4,
    )
    batch = images(data)
    model = network(real_data, "mobilenet_v1_0.75_224", "mobilenet_v1_075")
    assert export(model, (batch.args, {}), EXACT).differing() == (0.0, 0)
    assert differing(export(model, (batch.args, {}), INT8), "conv1") > 0.02
