"""Faults of activations and calibration (QD2xx, QD5xx), and numbers that are none (QD9xx)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from qdiag.core.scheme import TensorScheme
from tests.planted.fault import planted, scheme
from tests.planted.networks import CLASSES, DATA, Chain, Data, build, fit_classifier, rescale, settle


def plain() -> Chain:
    return settle(build())


def binary_filters() -> Chain:
    """Weights of the stem all of one size: every product of two neighbours is as large as it can be."""
    model = build()
    with torch.no_grad():
        model.stem[0].weight.sign_()
    return settle(model)


def relu6(mean: float = 0.0, std: float = 1.0) -> Chain:
    return settle(build(lambda: Chain(activation=nn.ReLU6)), mean=mean, std=std)


def two_sided() -> Chain:
    return settle(build(lambda: Chain(activation=lambda: nn.Hardtanh(-3.0, 3.0))))


def smooth(activation: type[nn.Module]) -> Chain:
    """Much of the signal lies in the lobe below zero."""
    return settle(build(lambda: Chain(activation=activation)), mean=-0.7)


def imbalanced() -> Chain:
    model = plain()
    rescale(model.stem, model.body, (3, 11), 256.0)
    return model


def unequal() -> Chain:
    """Half of the channels are 256 times as wide as the others, which the body reads as well."""
    model = plain()
    rescale(model.stem, model.body, range(8), 256.0)
    return model


def spiked(images: Tensor) -> Tensor:
    """One value in every fortieth image is a hot pixel."""
    images = images.clone()
    images[::40, 0, 5, 5] = 3000.0
    return images


def masked(images: Tensor) -> Tensor:
    """One value is a mark for "nothing here"."""
    images = images.clone()
    images[0, 0, 5, 5] = 1e8
    return images


def blank(images: Tensor) -> Tensor:
    """A few images without contrast."""
    images = images.clone()
    images[::50] = 1.0
    return images


class Contrast(Chain):
    """Every image is divided by its own contrast, which is zero for a blank one."""

    def features(self, x: Tensor) -> Tensor:
        centred = x - x.mean((1, 2, 3), keepdim=True)
        return super().features(centred / (centred * centred).mean((1, 2, 3), keepdim=True).sqrt())


class Masked(Chain):
    """Sixteen queries attend to the places of the first block; a mask hides the last ten of a hundred places."""

    def __init__(self, low: float) -> None:
        super().__init__()
        self.queries = nn.Linear(16, 16, bias=False)
        self.fc = nn.Linear(256, CLASSES)
        self.register_buffer("mask", torch.where(torch.arange(100) < 90, 0.0, low))

    def features(self, x: Tensor) -> Tensor:
        places = self.stem(x).flatten(2).transpose(1, 2)
        scores = self.queries(places).transpose(1, 2) + self.mask
        return (scores.softmax(-1) @ places).flatten(1)


def masked_attention(low: float) -> Chain:
    model = Masked(low)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight, std in ((model.stem[0].weight, 0.06), (model.queries.weight, 0.5)):
            weight.copy_(std * torch.randn(weight.shape, generator=generator))
        model.stem[0].bias.zero_()
    return fit_classifier(model.eval())


class Energy(Chain):
    """The logarithm of the power that each filter finds in each quarter of the image."""

    def features(self, x: Tensor) -> Tensor:
        filtered = self.stem[0](x)
        return torch.log(self.pool(filtered * filtered) + 1e-6).flatten(1)


def log_energy(data: Data = DATA) -> Chain:
    return fit_classifier(build(lambda: Energy(width=24)), data)


def at_many_levels(images: Tensor) -> Tensor:
    """Recordings of very different loudness: amplitudes from 1 down to 1/16."""
    generator = torch.Generator().manual_seed(3)
    return images * 10.0 ** (-1.2 * torch.rand(len(images), 1, 1, 1, generator=generator))


def on_bright_ground(images: Tensor) -> Tensor:
    """Every other image lies on a bright ground."""
    images = images.clone()
    images[1::2] += 12.0
    return images


def dark_ones(data: Data, count: int) -> Data:
    """Calibrated on a few images, all of them dark."""
    images, labels = data.calibration
    return replace(data, calibration=(images[: 2 * count : 2], labels[: 2 * count : 2]))


UNIT = 1000.0
"""What the first channel of the input counts in, as multiples of what the others count in."""


def other_unit(images: Tensor) -> Tensor:
    images = images.clone()
    images[:, 0] *= UNIT
    return images


def fits_other_unit() -> Chain:
    model = plain()
    with torch.no_grad():
        model.stem[0].weight[:, 0] /= UNIT
    return model


SHARES = 10.0 ** (-3.6 * torch.arange(12.0) / 11.0)
"""What the rows of the image hold, from all in the first to a four thousandth in the last."""


def falling(images: Tensor) -> Tensor:
    """As a spectrum falls with frequency: most values are far smaller than the few that hold the power."""
    return images * SHARES[:, None]


class Bands(Chain):
    """Filters as high as the image: each row has weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 48, (12, 3)), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d((1, 2))

    def features(self, x: Tensor) -> Tensor:
        return self.pool(self.stem(x)).flatten(1)


def bands(data: Data, shares: Tensor) -> Chain:
    model = build(Bands)
    with torch.no_grad():
        model.stem[0].weight /= 10.0 * shares[:, None]
    return fit_classifier(model, data)


FALLING = DATA.changed(fit=falling, calibration=falling, measured=falling)
SPIKES = DATA.changed(fit=spiked, calibration=spiked, measured=spiked)
GROUNDS = DATA.changed(fit=on_bright_ground, calibration=on_bright_ground, measured=on_bright_ground)
OTHER_UNIT = DATA.changed(fit=other_unit, calibration=other_unit, measured=other_unit)
LOUD = DATA.changed(fit=at_many_levels, calibration=at_many_levels, measured=at_many_levels)
INT8 = scheme(8, 8, per_channel=True)
SYMMETRIC = replace(INT8, activations=TensorScheme(bits=5, narrow_range=True), float_layers=("fc",))
FIVE = scheme(8, 5, per_channel=True, float_layers=("fc",))
CLIPPING = replace(INT8, activations=replace(INT8.activations, calibrator="percentile", percentile=80.0))
NARROW = scheme(8, 8, per_channel=True, accumulator_bits=14)
PAIRS = scheme(8, 8, per_channel=True, pair_saturation=True)

FAULTS = (
    planted("spike", "QD201", relu6, INT8, ("input:x",), data=SPIKES, twin_data=DATA),
    planted(
        *("saturated_relu6", "QD202", lambda: relu6(std=8.0), FIVE, ("head.0", "body.0", "stem.0")),
        twin=relu6, cause=False,
    ),
    planted("one_sided", "QD203", plain, SYMMETRIC, ("body.0", "head.0", "stem.0"), twin=two_sided),
    planted("silu", "QD204", lambda: smooth(nn.SiLU), FIVE, ("body.1",), twin=plain),
    planted("imbalance", "QD205", imbalanced, scheme(16, 8, per_channel=True), ("stem.0",), twin=plain),
    planted("masked", "QD206", lambda: masked_attention(-1e4), INT8, ("add",), twin=lambda: masked_attention(-20.0)),
    planted(
        *("log_energy", "QD207", lambda: log_energy(LOUD), INT8, ("log", "mul", "stem.0")),
        data=LOUD, twin=log_energy, twin_data=DATA,
    ),
    planted(
        *("input_units", "QD208", fits_other_unit, scheme(16, 8, per_channel=True), ("input:x",)),
        data=OTHER_UNIT, twin=plain, twin_data=DATA,
    ),
    planted(
        *("falling_spectrum", "QD209", lambda: bands(FALLING, SHARES), INT8, ("input:x",)),
        data=FALLING, twin=lambda: bands(DATA, torch.ones(12)), twin_data=DATA,
    ),
    planted("unequal", "QD210", unequal, scheme(16, 8, per_channel=True), ("stem.0",), twin=plain),
    planted(
        *("calibration_scaled", "QD501", plain, INT8, ("input:x",)),
        data=DATA.changed(calibration=lambda x: x / 8.0), twin_data=DATA,
    ),
    planted("clipping_calibrator", "QD502", plain, CLIPPING, ("input:x",), twin_scheme=INT8),
    planted(
        *("few_samples", "QD503", lambda: settle(build(), GROUNDS), INT8, ("input:x", "stem.0")),
        data=dark_ones(GROUNDS, 4), twin_data=GROUNDS,
    ),
    planted("narrow_accumulator", "QD601", plain, NARROW, ("body.0",), twin_scheme=INT8),
    planted("pairs", "QD602", binary_filters, PAIRS, ("stem.0",), twin_scheme=INT8),
    planted(
        *("blank_images", "QD901", lambda: settle(build(Contrast)), INT8, ("div",)),
        data=DATA.changed(measured=blank), twin_data=DATA, cause=False,
    ),
    planted("nothing_quantized", "QD902", plain, scheme(32, 32), ("stem.0", "fc"), twin_scheme=INT8, cause=False),
    planted(
        *("marked_calibration", "QD903", relu6, INT8, ("input:x",)),
        data=DATA.changed(calibration=masked), twin_data=DATA,
    ),
)  # fmt: skip
