"""What all passes of a run have in common: the device, the settings of the arithmetic, versions."""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from qdiag.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {
        "qdiag": _version("qdiag"),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def surroundings(device: torch.device) -> str:
    """All that decides the last bit of a result beside network, plan and data.

    Sums depend on how many threads share them and on the width of the processor's registers.
    """
    parts = [*(f"{name} {text}" for name, text in versions().items()), f"pillow {_version('pillow')}", _own_code()]
    parts.append(device.type)
    if device.type == "cuda":
        parts += [torch.cuda.get_device_name(device), str(torch.version.cuda), str(torch.backends.cudnn.version())]  # type: ignore[no-untyped-call]
    parts += [platform.machine(), torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())]
    return "\n".join(parts)


def device_name(device: torch.device) -> str:
    """`cpu`, or `cuda` and what the GPU is called."""
    if device.type != "cuda":
        return device.type
    return f"{device.type} ({torch.cuda.get_device_name(device)})"


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto` for the GPU where there is one.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("torch sees no CUDA device", at="device", hint="use auto or cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"unknown device {name!r}", at="device", hint="use cpu, cuda or auto")
    return torch.device(name)


@contextmanager
def engine_arithmetic() -> Iterator[None]:
    """Arithmetic of the passes; the process gets its own settings back.

    No TF32 on a GPU: its ten-bit mantissa would add noise at 60 dB to the float reference. cuDNN is told to use
    algorithms that give the same sums each time, so that a training can be repeated exactly.

    Denormal numbers count as zero on a CPU: dead BatchNorm channels make them by the million (down to 1e-45, at 760 dB
    below one), and each costs a hundred times an ordinary number. Threads that torch has already started keep their
    setting, so a process of its own, such as the CLI, says so before its first operation.
    """
    convolution, product = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    flushes, repeats = _flushes_denormals(), torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolution, product
        torch.backends.cudnn.deterministic = repeats
        torch.set_flush_denormal(flushes)


def _flushes_denormals() -> bool:
    """Torch can set this but not tell it."""
    return float(torch.tensor(1e-38) * 0.01) == 0.0


@cache
def _own_code() -> str:
    """SHA-256 over the source files of this package: two checkouts may have one version."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
