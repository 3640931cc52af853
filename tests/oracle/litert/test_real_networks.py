"""Real weights and images: a few of each, with the kernels of LiteRT; no integer differs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.exporters.litert.write import write_lite
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from tests.oracle.litert.integers_of import RESOLVERS, differing
from tests.oracle.litert.test_export import planned

pytestmark = pytest.mark.real

NETWORKS = {
    "resnet20_cifar10": ("resnet20_cifar10", "cifar10_lossless200.npz", "imagenet-stats", 31),
    "mobilenet_v1_0.25_vww96": ("mobilenet_v1_025_vww", "vww96_600.npz", "none", 30),
    "mobilenet_v1_0.75_224": ("mobilenet_v1_075", "imagenet_val_600", "tf", 30),
}
"""By weights: the network, images, their preprocessing, and how many layers have integers."""


def images(folder: Path, name: str, how: str) -> Tensor:
    preprocessing = preset(how).override(crop=112) if name == "imagenet_val_600" else preset(how)
    request = DataRequest(*(str(folder / name),), preprocessing=preprocessing, samples=3, calib_samples=1, batch_size=2)
    batch: Batch = next(iter(open_datasets(request).evaluation))
    found: Tensor = batch.args[0]
    return found


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
@pytest.mark.parametrize("weights", NETWORKS)
def test_no_integer_differs(real_data: Path, weights: str, scheme: str) -> None:
    """Calibrated on images of the same kind; a dead channel of MobileNetV1 has a bias that wraps."""
    arch, data, how, count = NETWORKS[weights]
    subject = load_subject(str(real_data / f"{weights}.safetensors"), arch=f"{real_data / 'networks.py'}:{arch}")
    assert isinstance(subject.model, nn.Module)
    x = images(real_data, data, how)
    network, plan = planned(subject.model, x, load_preset(scheme))
    file = write_lite(network, plan, Batch((x,)))
    with torch.no_grad():
        for kernels in RESOLVERS:
            found = differing(network, plan, file, x, kernels)
            assert len(found) == count and not any(found.values()), (kernels, found)
