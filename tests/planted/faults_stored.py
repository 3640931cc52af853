"""QD504 to QD506: networks that torch.ao trained with fake quantizers, arranged rather than trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn import qat
from torch.ao.quantization import (
    FakeQuantize,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    PerChannelMinMaxObserver,
    QConfig,
)

from tests.planted.fault import PlantedFault, planted, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, settle

INT8 = scheme(8, 8, per_channel=True)
TWO_BITS = scheme(2, 8, per_channel=True, float_layers=("fc",))


def trained(model: Chain, largest: int = 127, *, later: Callable[[Chain], None] = lambda model: None) -> Chain:
    """With fake quantizers behind every block and at the weights of its convolution, their observers off.

    Args:
        largest: integer of the weights. later: what happens between the last look at the weights and that at the
            activations.
    """
    blocks = (model.stem, model.body, model.head)
    for block in blocks:
        block[0].qconfig = QConfig(activation=nn.Identity, weight=_of_weights(largest))
        block[0] = qat.Conv2d.from_float(block[0])
        _fake(block[0].weight_fake_quant)(block[0].weight.detach())
        block.append(FakeQuantize(MinMaxObserver, quant_min=0, quant_max=255))
    later(model)
    for block in blocks:
        _switch(block[0].weight_fake_quant, observes=False)
    with torch.no_grad():
        model.eval()(DATA.fit[0])
    for block in blocks:
        _switch(block[-1], observes=False)
    return model


def _of_weights(largest: int) -> Any:
    return FakeQuantize.with_args(
        observer=PerChannelMinMaxObserver,
        quant_min=-largest,
        quant_max=largest,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
        eps=torch.finfo(torch.float32).tiny,
    )


def _fake(module: Any) -> FakeQuantize:
    assert isinstance(module, FakeQuantize)
    return module


def _switch(module: Any, *, observes: bool | None = None, is_on: bool | None = None) -> None:
    if observes is not None:
        _fake(module).enable_observer(observes)
    if is_on is not None:
        _fake(module).enable_fake_quant(is_on)


def chain() -> Chain:
    return settle(build())


def healthy() -> Chain:
    return trained(chain())


def still_observing() -> Chain:
    """The observer behind the body takes the range of the last batch, and one value in that was far too large."""
    model = healthy()
    model.body[-1] = FakeQuantize(MovingAverageMinMaxObserver, averaging_constant=1.0, quant_min=0, quant_max=255)
    with torch.no_grad():
        model.eval()(DATA.fit[0])
        model.body[-1](torch.tensor([0.0, 500.0]))
    return model


def grown(model: Chain) -> None:
    """The body becomes eight times as large, and the head takes it back."""
    with torch.no_grad():
        model.body[0].weight *= 8.0
        model.body[0].bias *= 8.0
        model.head[0].weight /= 8.0


def grown_after() -> Chain:
    return trained(chain(), later=grown)


def grown_before() -> Chain:
    model = chain()
    grown(model)
    return trained(model)


def on_grid(*, body: bool) -> Chain:
    """Weights that training has moved to the two-bit levels, with those of the body or without."""
    model = chain()
    with torch.no_grad():
        for block in (model.stem, model.head, *([model.body] if body else [])):
            block[0].weight.copy_(_rounded(block[0].weight))
    model = trained(fit_classifier(model), largest=1)
    _switch(model.body[0].weight_fake_quant, is_on=body)
    return model


def _rounded(weight: Tensor) -> Tensor:
    step = weight.abs().amax((1, 2, 3), keepdim=True)
    return step * (weight / step).round()


FAULTS: tuple[PlantedFault, ...] = (
    planted("still_observing", "QD504", still_observing, INT8, ("body.0",), twin=healthy),
    planted(
        "idle_quantizer", "QD505", lambda: on_grid(body=False), TWO_BITS, ("body.0",), twin=lambda: on_grid(body=True)
    ),
    planted("grown_weights", "QD506", grown_after, INT8, ("body.0",), twin=grown_before),
)
