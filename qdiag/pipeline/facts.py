"""Where a result comes from: model, data, versions, time."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from qdiag.batches import Datasets
from qdiag.core.measures.measurement import DataInfo, ModelInfo, StageTime
from qdiag.errors import ConfigError
from qdiag.loaders.models.values import fingerprint, parameter_count
from qdiag.subject import Subject


def model_info(subject: Subject) -> ModelInfo:
    """What was examined."""
    return ModelInfo(
        source=subject.source if subject.submodule is None else f"{subject.source}, submodule {subject.submodule}",
        format=subject.format,
        architecture=subject.architecture,
        parameter_count=parameter_count(subject),
        digest=fingerprint(subject),
    )


def data_info(datasets: Datasets, seed: int) -> DataInfo:
    """On what it was examined."""
    measured, calibration = datasets.evaluation, datasets.calibration
    return DataInfo(
        source=measured.source,
        calibration_source=calibration.source,
        calibration_count=calibration.sample_count,
        measured_count=measured.sample_count,
        split=datasets.split,
        is_data_free=measured.is_data_free,
        is_labelled=measured.is_labelled,
        preprocessing=measured.preprocessing,
        batch_size=measured.batch_size,
        seed=seed,
        digest=measured.digest(),
    )


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    try:
        own = version("qdiag")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "qdiag": own,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


class Stopwatch:
    """Times the stages of a run."""

    def __init__(self) -> None:
        self._stages: list[StageTime] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what happens inside."""
        started = time.perf_counter()
        yield
        self._stages.append(StageTime(name, time.perf_counter() - started))

    @property
    def stages(self) -> tuple[StageTime, ...]:
        return tuple(self._stages)


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto` for the GPU where there is one.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("torch sees no CUDA device", at="--device cuda", hint="use --device auto or cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"unknown device {name!r}", at="--device", hint="use cpu, cuda or auto")
    return torch.device(name)


@contextmanager
def engine_arithmetic() -> Iterator[None]:
    """Arithmetic of the passes; the process gets its own settings back.

    No TF32 on a GPU: its ten-bit mantissa would add noise at 60 dB to the float reference. Denormal numbers count as
    zero on a CPU: dead BatchNorm channels make them by the million (down to 1e-45, at 760 dB below one), and each costs
    a hundred times an ordinary number. Threads that torch has already started keep their setting, so a process of its
    own, such as the CLI, says so before its first operation.
    """
    convolution, product = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    flushes = _flushes_denormals()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolution, product
        torch.set_flush_denormal(flushes)


def _flushes_denormals() -> bool:
    """Torch can set this but not tell it."""
    return float(torch.tensor(1e-38) * 0.01) == 0.0
