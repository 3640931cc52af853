"""`qdiag.demo`: a network and its data, which come with the package."""

from typing import NamedTuple

import torch
from torch import Tensor

from qdiag.demo_assets import DEMO_ARCH, DEMO_PRESET, demo_data_path, demo_model_path
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.subject import Subject


class Demo(NamedTuple):
    """A network that per-tensor quantization harms, and its data.

    Attributes:
        model: a small MobileNetV1 that reads handwritten digits.
        data: 400 images (N, 3, 32, 32), prepared as in training, and their labels (N,).
        calibration: 100 other images.
    """

    model: Subject
    data: tuple[Tensor, Tensor]
    calibration: Tensor

    def __repr__(self) -> str:
        counts = f"{len(self.data[0])} images to measure on, {len(self.calibration)} to calibrate on"
        return f"Demo of {demo_model_path().name}: {counts}\nmodel, data, calibration = qdiag.demo() takes it apart"


def demo() -> Demo:
    """A network and its data wherever the package is installed, to try things on.

    Examples:
        >>> import qdiag
        >>> model, data, calibration = qdiag.demo()
        >>> found = qdiag.measure(model, data, calibration=calibration, scheme="tf-uint8")
        >>> round(found.task.judged.reference, 1), round(found.task.judged.simulated, 1)
        (98.8, 10.0)
    """
    found = open_datasets(DataRequest(str(demo_data_path()), preprocessing=preset(DEMO_PRESET)))
    measured = list(found.evaluation)
    images, labels = (torch.cat(parts) for parts in zip(*((b.args[0], b.labels) for b in measured), strict=True))
    calibration = torch.cat([batch.args[0] for batch in found.calibration])
    return Demo(load_subject(demo_model_path(), arch=DEMO_ARCH), (images, labels), calibration)
