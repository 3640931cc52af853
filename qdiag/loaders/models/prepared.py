"""A plain network prepared as the state dict of a network that torch.ao trained says it was.

The names in the file tell where the fake quantizers stood and which BatchNorms were folded in training; the integers
follow from scale, zero point and the observed bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn import intrinsic, qat
from torch.ao.nn.intrinsic import qat as folded
from torch.ao.quantization import (
    FakeQuantize,
    FakeQuantizeBase,
    MinMaxObserver,
    PerChannelMinMaxObserver,
    QConfig,
    QuantStub,
)
from torch.nn.modules.batchnorm import _BatchNorm

from qdiag.errors import LoadError

_SWITCH = ".fake_quant_enabled"
_OF_WEIGHT = ".weight_fake_quant"
_OF_OUTPUT = "activation_post_process"
_INPUT_STUB = "quant"
"""What torch.ao's wrapper and its guides call the quantizer of the input."""
_HINT = "give an `arch` that prepares the network as it was prepared for training, by prepare_qat or prepare_qat_fx"
_FOLDED: dict[type[nn.Module], tuple[Any, Any]] = {
    nn.Conv1d: (intrinsic.ConvBn1d, folded.ConvBn1d),
    nn.Conv2d: (intrinsic.ConvBn2d, folded.ConvBn2d),
    nn.Conv3d: (intrinsic.ConvBn3d, folded.ConvBn3d),
    nn.Linear: (intrinsic.LinearBn1d, folded.LinearBn1d),
}
_PLAIN: dict[type[nn.Module], Any] = {
    nn.Conv1d: qat.Conv1d,
    nn.Conv2d: qat.Conv2d,
    nn.Conv3d: qat.Conv3d,
    nn.Linear: qat.Linear,
}


@dataclass(frozen=True)
class _Integers:
    low: int
    high: int
    is_symmetric: bool


def prepare_like(model: nn.Module, state: Mapping[str, Tensor], *, at: str) -> dict[str, Tensor]:
    """Puts fake quantizers into a plain network, in place, where the names in a state dict have them.

    Args:
        model: our own. state: with the names of the network.

    Returns:
        The state without what only observers of other kinds hold; the same where there is nothing to prepare.

    Raises:
        LoadError: the file does not say clearly where they stood, or which integers they have.
    """
    paths = [name.removesuffix(_SWITCH) for name in state if name.endswith(_SWITCH)]
    if not paths or any(isinstance(module, FakeQuantizeBase) for module in model.modules()):
        return dict(state)
    kept = {name: value for name, value in state.items() if not any(name.startswith(f"{path}.") for path in paths)}
    for path in paths:
        module, own = _fake_quantizer(path, state, at)
        _put(model, path, module, kept, at)
        kept |= {f"{path}.{name}": value for name, value in own.items()}
    model.eval()
    return kept


def _fake_quantizer(path: str, state: Mapping[str, Tensor], at: str) -> tuple[FakeQuantize, dict[str, Tensor]]:
    """The fake quantizer of that path, and its part of the state by its own names."""
    bounds = f"{_OF_OUTPUT}.min_val", f"{_OF_OUTPUT}.max_val"
    names = ("scale", "zero_point", "fake_quant_enabled", "observer_enabled", f"{_OF_OUTPUT}.eps", *bounds)
    own = {name: state[f"{path}.{name}"] for name in names if f"{path}.{name}" in state}
    missing = [name for name in names if name not in own]
    if missing:
        raise LoadError(f"the fake quantizer {path} has no {missing[0]} in it", at=at, hint=_HINT)
    integers = _integers(own["scale"], own["zero_point"], own[bounds[0]], own[bounds[1]])
    if integers is None:
        raise LoadError(f"which integers the fake quantizer {path} has does not follow from it", at=at, hint=_HINT)
    is_per_channel = own[bounds[0]].ndim > 0
    symmetric, affine = (
        (torch.per_channel_symmetric, torch.per_channel_affine)
        if is_per_channel
        else (torch.per_tensor_symmetric, torch.per_tensor_affine)
    )
    kind = torch.quint8 if integers.low >= 0 and integers.high < 256 else torch.qint8
    made = FakeQuantize(  # type: ignore[no-untyped-call]
        PerChannelMinMaxObserver if is_per_channel else MinMaxObserver,
        quant_min=integers.low,
        quant_max=integers.high,
        dtype=kind if integers.high - integers.low < 256 else torch.qint32,
        qscheme=symmetric if integers.is_symmetric else affine,
    )
    return made, own


def _integers(scale: Tensor, zero_point: Tensor, low: Tensor, high: Tensor) -> _Integers | None:
    """Of which torch.ao made the scale from the bounds; None where that does not come out.

    torch.ao widens the bounds to hold 0, and divides max - min, or twice the larger |bound|, by the number of steps.
    """
    if not low.numel() or not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
        return _Integers(0, 255, is_symmetric=False)  # nothing was observed, and no range is taken from it
    scales, zeros = scale.double().flatten(), zero_point.double().flatten()
    below, above = low.double().flatten().clamp(max=0.0), high.double().flatten().clamp(min=0.0)
    if len(scales) != len(below) or not bool((above > below).any()):
        return None
    at = int((above - below).argmax())  # the widest channel, which no least scale has reached
    step, zero = float(scales[at]), int(zeros[at])
    affine = float(above[at] - below[at]) / step
    mirrored = 2.0 * float(torch.maximum(-below[at], above[at])) / step
    start = zero + round(float(below[at]) / step)
    if _is_width(affine) and start in (0, -((round(affine) + 1) // 2), -(round(affine) // 2)):
        return _Integers(start, start + round(affine), is_symmetric=False)
    if _is_width(mirrored):
        steps = round(mirrored)
        lowest = 0 if zero == (steps + 1) // 2 and zero else -((steps + 1) // 2) if zero == 0 else None
        return None if lowest is None else _Integers(lowest, lowest + steps, is_symmetric=True)
    return None


def _is_width(steps: float) -> bool:
    """2 to 16 bits, with the lowest integer or without it."""
    whole = round(steps)
    is_power = any(whole in (2**bits - 1, 2**bits - 2) for bits in range(2, 17))
    return is_power and abs(steps - whole) <= 1e-3 * whole


def _put(model: nn.Module, path: str, module: FakeQuantize, state: Mapping[str, Tensor], at: str) -> None:
    modules = dict(model.named_modules())
    if path.endswith(_OF_WEIGHT):
        _at_weight(model, path.removesuffix(_OF_WEIGHT), module, state, at)
        return
    owner, _, name = path.rpartition(".")
    if owner == _INPUT_STUB and owner not in modules:
        _at_input(model, module)
    elif name == _OF_OUTPUT and owner in modules and owner:
        _at_output(modules[owner], module)
    else:
        what = f"and the network has no module {owner}" if owner else "by a number, which does not say where it stood"
        raise LoadError(f"the file has a fake quantizer {path}, {what}", at=at, hint=_HINT)


def _at_output(owner: nn.Module, module: nn.Module) -> None:
    owner.add_module(_OF_OUTPUT, module)
    owner.register_forward_hook(lambda own, _, output: own.activation_post_process(output))


def _at_input(model: nn.Module, module: nn.Module) -> None:
    """As the stub that stood before the network."""
    stub = QuantStub()
    _at_output(stub, module)
    others = dict(model.named_children())
    model.add_module(_INPUT_STUB, stub)
    if isinstance(model, nn.Sequential):  # which calls all that it holds, in their order
        for name, other in others.items():
            delattr(model, name)
            model.add_module(name, other)
    else:
        model.register_forward_pre_hook(lambda own, inputs: (own.quant(inputs[0]), *inputs[1:]))


def _at_weight(model: nn.Module, owner: str, module: FakeQuantize, state: Mapping[str, Tensor], at: str) -> None:
    layer = dict(model.named_modules()).get(owner)
    if layer is None or type(layer) not in _PLAIN:
        what = "has no such layer" if layer is None else f"has a {type(layer).__name__} there"
        raise LoadError(
            f"the file has a fake quantizer at the weight of {owner}, and the network {what}", at=at, hint=_HINT
        )
    config = QConfig(activation=nn.Identity, weight=lambda **_: module)  # type: ignore[no-untyped-call]
    if f"{owner}.bn.running_var" in state:
        name, norm = _norm_behind(model, owner, state[f"{owner}.bn.running_var"], at)
        float_kind, kind = _FOLDED[type(layer)]
        fused = float_kind(layer, norm)
        fused.qconfig = config
        _replace(model, name, nn.Identity())
        _replace(model, owner, kind.from_float(fused))
        return
    layer.qconfig = config
    _replace(model, owner, _PLAIN[type(layer)].from_float(layer))


def _norm_behind(model: nn.Module, owner: str, variance: Tensor, at: str) -> tuple[str, nn.Module]:
    """The BatchNorm that the network has next after the layer, if it is one of as many channels."""
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    after = leaves[[name for name, _ in leaves].index(owner) + 1 :][:1]
    for name, module in after:
        if isinstance(module, _BatchNorm) and module.num_features == variance.numel():
            return name, module
    raise LoadError(
        f"the file has a BatchNorm that was folded into {owner}, and the network has none next to it", at=at, hint=_HINT
    )


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, module)
