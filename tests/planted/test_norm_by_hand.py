"""A LayerNorm written by hand: where samples differ in amplitude, the variance of the faint ones rounds to zero."""

import torch
from torch import Tensor

from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.networks import DATA, Chain, Data, build, fit_classifier

INT8 = scheme(8, 8, per_channel=True)
EPS = 1e-5


class NormByHand(Chain):
    """Mean, difference, square, mean, reciprocal root, product: one layer each, and each with a quantizer."""

    def variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem[0](x)
        centred = x - x.mean((1, 2, 3), keepdim=True)
        return centred, (centred * centred).mean((1, 2, 3), keepdim=True)

    def features(self, x: Tensor) -> Tensor:
        centred, variance = self.variance(x)
        return self.pool(self.head(self.body((centred * torch.rsqrt(variance + EPS)).relu()))).flatten(1)


def faint(images: Tensor) -> Tensor:
    """Amplitudes from 1 down to 1/32, and powers down to a thousandth."""
    generator = torch.Generator().manual_seed(3)
    return images * 10.0 ** (-1.5 * torch.rand(len(images), 1, 1, 1, generator=generator))


FAINT = DATA.changed(fit=faint, calibration=faint, measured=faint)


def norm_by_hand(data: Data) -> Chain:
    return fit_classifier(build(NormByHand), data)


SICK = Network(lambda: norm_by_hand(FAINT), INT8, FAINT)
TWIN = Network(lambda: norm_by_hand(DATA), INT8, DATA)


def test_the_variance_rounds_to_zero() -> None:
    """Of a tenth of the samples and more: their gain is that of eps alone."""
    found, model = diagnosis(SICK), norm_by_hand(FAINT)
    assert isinstance(model, NormByHand)
    (read,) = found.measurement.record("rsqrt").inputs  # variance + eps
    (mean,) = found.measurement.record(read).inputs
    quantizer = found.measurement.record(mean).quantizer
    assert quantizer is not None and quantizer.scale is not None
    with torch.no_grad():
        variance = model.variance(FAINT.measured[0])[1].flatten()
    assert float((variance < 0.5 * quantizer.scale).double().mean()) > 0.1
    assert float(variance.min()) > 100.0 * EPS, "it is not eps that decides in float"


def test_the_norm_is_the_cause_and_float_for_it_repairs_all() -> None:
    ranking = diagnosis(SICK).ranking
    assert ranking.harm.verdict == "harmed"
    first = ranking.causes[0]
    assert (first.code, first.verdict) == ("QD207", "cause")
    assert {"rsqrt", "add", "mul", "sub", "stem.0"} <= set(first.layers)
    assert not {"body.0", "head.0", "fc"} & set(first.layers), "what follows the norm is healthy"
    recovered = {t.repair: t.recovery.recovered_task for t in first.trials if t.recovery is not None}
    assert recovered["keep_float"] >= 0.9 * ranking.harm.value
    assert recovered["activations_16bit"] >= 0.9 * ranking.harm.value


def test_samples_of_one_amplitude_do_without() -> None:
    found = diagnosis(TWIN)
    assert finding(found, "QD207") is None
    assert found.ranking.harm.verdict != "harmed" and found.ranking.claimed == ()
