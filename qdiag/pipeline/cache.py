"""When a finished pass of an earlier run may stand for one of this run."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import qdiag
from qdiag.pipeline.facts import versions
from qdiag.simulate.passes.pass_cache import NO_PASSES, PassCache, PassKeeper
from qdiag.subject import Subject


def keeper_for(found: PassCache | None, subject: Subject, device: torch.device) -> PassKeeper:
    """What keeps the passes of a run over one network.

    Nothing is kept for a part of a network: what reaches it is computed by code outside the captured graph, which may
    change while graph, weights and data stay.
    """
    if found is None or subject.parent is not None:
        return NO_PASSES
    return PassKeeper(found, _surroundings(device))


def _surroundings(device: torch.device) -> str:
    """All that decides the last bit of a result beside network, plan and data.

    Sums depend on how many threads share them and on the width of the processor's registers.
    """
    parts = [*(f"{name} {text}" for name, text in versions().items()), _version("pillow"), _own_code(), device.type]
    if device.type == "cuda":
        parts += [torch.cuda.get_device_name(device), str(torch.version.cuda), str(torch.backends.cudnn.version())]  # type: ignore[no-untyped-call]
    parts += [platform.machine(), torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())]
    return "\n".join(parts)


@cache
def _own_code() -> str:
    """SHA-256 over the source files of this package: two checkouts may have one version."""
    digest, root = hashlib.sha256(), Path(qdiag.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
