"""Model files of every kind for the tests, written by the libraries that own the formats."""

import io
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

ARCH = "tests.unit.loaders.model_files:small_net"
INPUT = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


class SmallNet(nn.Module):
    """Convolution, BatchNorm and a linear head, in a submodule called `backbone`."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x).mean((2, 3)))


def small_net(width: int = 4) -> nn.Module:
    return SmallNet(width)


def trained_net() -> SmallNet:
    """A `SmallNet` with weights of its own, in train mode: reading it must not depend on the mode it was saved in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = SmallNet()
        net.backbone[1].running_var.uniform_(0.5, 2.0)
        net.backbone[1].running_mean.normal_()
    return net


class Payload:
    """A pickle of it creates a folder when it is executed."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (self.marker,)


_EXPORTED: dict[tuple[object, ...], bytes] = {}
"""Files of networks by class and values: dozens of tests want the same one."""


def write_exported(net: nn.Module, path: Path) -> None:
    key = (type(net), *((name, value.numpy().tobytes()) for name, value in net.state_dict().items()))
    if key not in _EXPORTED:
        batch, file = torch.export.Dim("batch", min=1, max=64), io.BytesIO()
        program = torch.export.export(net.eval(), (INPUT,), dynamic_shapes=({0: batch},), strict=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program, file)
        _EXPORTED[key] = file.getvalue()
    path.write_bytes(_EXPORTED[key])


def write_scripted(net: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript; its files stay around
        torch.jit.save(torch.jit.script(net.eval()), str(path))


def write_traced(net: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net.eval(), INPUT), str(path))


def write_module(net: nn.Module, path: Path) -> None:
    torch.save(net, path)


def write_legacy_module(net: nn.Module, path: Path) -> None:
    torch.save(net, path, _use_new_zipfile_serialization=False)


def write_plain_pickle(net: nn.Module, path: Path) -> None:
    path.write_bytes(pickle.dumps(net))


def write_state_dict(net: nn.Module, path: Path) -> None:
    torch.save(net.state_dict(), path)


def write_legacy_state_dict(net: nn.Module, path: Path) -> None:
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)


def write_safetensors(net: nn.Module, path: Path) -> None:
    path.write_bytes(safetensors.torch.save(net.state_dict()))


def replace_member(path: Path, ending: str, change: Callable[[bytes], bytes]) -> None:
    """Rewrites one member of a zip archive; everything else stays."""
    copy = path.with_suffix(".copy")
    changed = 0
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(ending):
                content, changed = change(content), changed + 1
            new.writestr(name, content)
    assert changed == 1, ending
    shutil.move(copy, path)
