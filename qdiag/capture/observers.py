"""Observers and fake quantizers that torch.ao puts into a network: they are no layers of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.ao.quantization import FakeQuantizeBase, ObserverBase
from torch.export import ExportedProgram

from qdiag.errors import CaptureError


@contextmanager
def without_observers(model: nn.Module | ExportedProgram) -> Iterator[None]:
    """Inside, observers hand on what they get and watch nothing.

    Raises:
        CaptureError: a fake quantizer is switched on: the network is quantized already.
    """
    silenced: list[nn.Module] = []
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        found = {name: m for name, m in model.named_modules() if isinstance(m, ObserverBase | FakeQuantizeBase)}
        quantizing = [name for name, module in found.items() if _quantizes(module)]
        if quantizing:
            raise CaptureError(
                f"the network is quantized already: {len(quantizing)} fake quantizers are on, first {quantizing[0]}",
                hint="give the float network, or switch them off with torch.ao.quantization.disable_fake_quant",
            )
        silenced = [module for module in found.values() if "forward" not in module.__dict__]
    try:
        for module in silenced:
            module.__dict__["forward"] = _handed_on
        yield
    finally:
        for module in silenced:
            module.__dict__.pop("forward", None)


def _handed_on(x: Tensor) -> Tensor:
    return x


def _quantizes(module: nn.Module) -> bool:
    enabled = getattr(module, "fake_quant_enabled", None)
    return isinstance(enabled, Tensor) and bool(enabled.any())
