"""Observers and fake quantizers that torch.ao puts into a network: they are no layers of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn.intrinsic.qat.modules.conv_fused import _ConvBnNd
from torch.ao.nn.intrinsic.qat.modules.linear_fused import LinearBn1d
from torch.ao.quantization import FakeQuantizeBase, ObserverBase
from torch.export import ExportedProgram

Forward = Callable[[Tensor], Tensor]


@contextmanager
def without_observers(model: nn.Module | ExportedProgram) -> Iterator[None]:
    """Inside, the network is the float network.

    Observers and fake quantizers hand on what they get and watch nothing. A layer that folds its BatchNorm while it is
    trained computes as a convolution or linear layer and a BatchNorm after it.
    """
    found = _python_modules(model)
    forwards: dict[nn.Module, Forward] = {
        module: _handed_on for module in found.values() if isinstance(module, ObserverBase | FakeQuantizeBase)
    }
    forwards |= _of_type(found, LinearBn1d, _linear_and_norm)
    with replaced("forward", forwards), replaced("_forward", _of_type(found, _ConvBnNd, _conv_and_norm)):
        yield


@contextmanager
def replaced(method: str, forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Inside, modules have another method of this name; afterwards they are as before."""
    before: dict[nn.Module, Any] = {module: module.__dict__.get(method) for module in forwards}
    try:
        for module, forward in forwards.items():
            module.__dict__[method] = forward
        yield
    finally:
        for module, own in before.items():
            module.__dict__.pop(method, None)
            if own is not None:
                module.__dict__[method] = own


def fake_quantizers(model: nn.Module | ExportedProgram) -> dict[str, FakeQuantizeBase]:
    """The fake quantizers of a network by module path; none in one that is no Python module."""
    return {name: m for name, m in _python_modules(model).items() if isinstance(m, FakeQuantizeBase)}


def folds_in_training(module: nn.Module) -> bool:
    """The module quantizes its weight with the BatchNorm folded into it."""
    return isinstance(module, _ConvBnNd | LinearBn1d)


def _python_modules(model: nn.Module | ExportedProgram) -> dict[str, nn.Module]:
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return {}
    return dict(model.named_modules())


def _of_type(
    modules: Mapping[str, nn.Module], kind: type[nn.Module], forward: Callable[[Any, Tensor], Tensor]
) -> dict[nn.Module, Forward]:
    def bound(module: nn.Module) -> Forward:
        return lambda x: forward(module, x)

    return {module: bound(module) for module in modules.values() if isinstance(module, kind)}


def _handed_on(x: Tensor) -> Tensor:
    return x


def _conv_and_norm(module: Any, x: Tensor) -> Tensor:
    found: Tensor = module.bn(module._conv_forward(x, module.weight_fake_quant(module.weight), module.bias))
    return found


def _linear_and_norm(module: Any, x: Tensor) -> Tensor:
    found: Tensor = module.bn(nn.functional.linear(x, module.weight_fake_quant(module.weight), module.bias))
    return found
