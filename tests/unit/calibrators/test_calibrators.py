"""Ranges against references written apart: exhaustive search, numpy percentiles, a literal TensorRT threshold."""

import numpy as np
import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.calibrators.base import ActivationStatistics
from qdiag.calibrators.entropy import kl_threshold
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.errors import CalibrationError, ConfigError
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from qdiag.numerics.quantizers.affine import Affine

UINT8 = TensorScheme(symmetric=False, signed=False)


def statistics(x: torch.Tensor, averaging: float | None = None) -> ActivationStatistics:
    observer = TensorObserver(ObserverOptions(samples_per_image=x.numel(), averaging_constant=averaging))
    observer.update(x, image_count=len(x))
    seen = observer.range()
    assert seen is not None
    return ActivationStatistics(seen, observer.moving_average if averaging else None)


def heavy_tailed(n: int = 60_000, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=generator)
    x[: n // 500] *= 12
    return x.view(10, -1)


def with_calibrator(name: str, **fields: object) -> TensorScheme:
    return TensorScheme(calibrator=name, **fields)  # type: ignore[arg-type]


def test_minmax_is_the_whole_range() -> None:
    x = heavy_tailed()
    assert CALIBRATORS["minmax"].activation_range(statistics(x), UINT8) == (float(x.min()), float(x.max()))


def test_moving_average_by_hand() -> None:
    x = torch.tensor([[-1.0, 4.0], [-3.0, 2.0], [0.0, 8.0]])
    low, high = -1.0, 4.0
    for image in x[1:]:
        low, high = low + 0.25 * (float(image.min()) - low), high + 0.25 * (float(image.max()) - high)
    seen = CALIBRATORS["moving_average"].activation_range(statistics(x, 0.25), UINT8)
    assert seen == pytest.approx((low, high))


@pytest.mark.parametrize("percent", [90.0, 99.0, 99.9])
def test_percentile_of_activations_equals_numpy_to_a_bin(percent: float) -> None:
    x = heavy_tailed()
    bin_width = statistics(x).range.histogram.bin_width  # type: ignore[union-attr]
    symmetric = with_calibrator("percentile", percentile=percent)
    low, high = CALIBRATORS["percentile"].activation_range(statistics(x), symmetric)
    assert high == pytest.approx(np.percentile(x.abs().numpy(), percent, method="inverted_cdf"), abs=bin_width)
    assert low == -high
    affine = with_calibrator("percentile", percentile=percent, symmetric=False, signed=False)
    low, high = CALIBRATORS["percentile"].activation_range(statistics(x), affine)
    half = (100 - percent) / 2
    assert low == pytest.approx(np.percentile(x.numpy(), half, method="inverted_cdf"), abs=bin_width)
    assert high == pytest.approx(np.percentile(x.numpy(), 100 - half, method="inverted_cdf"), abs=bin_width)


def test_percentile_of_a_one_sided_activation_clips_one_side() -> None:
    x = heavy_tailed().relu()
    affine = with_calibrator("percentile", percentile=99.0, symmetric=False, signed=False)
    low, high = CALIBRATORS["percentile"].activation_range(statistics(x), affine)
    assert low == 0.0
    assert high == pytest.approx(np.percentile(x.numpy(), 99.0, method="inverted_cdf"), abs=0.05)


def test_percentile_of_weights_equals_numpy() -> None:
    rows = heavy_tailed(4000).view(8, 500)
    low, high = CALIBRATORS["percentile"].weight_range(rows, with_calibrator("percentile", percentile=98.0))
    np.testing.assert_allclose(high.numpy(), np.percentile(rows.abs().numpy(), 98.0, axis=1), rtol=1e-5)
    np.testing.assert_allclose(low.numpy(), -high.numpy())


def noise(x: torch.Tensor, low: float, high: float, scheme: TensorScheme) -> float:
    q = Affine.from_range(torch.tensor(low), torch.tensor(high), scheme)
    return float((x - q.fake_quantize(x)).double().square().mean())


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_mse_is_as_good_as_an_exhaustive_search(bits: int) -> None:
    x = heavy_tailed()
    scheme = with_calibrator("mse", bits=bits)
    low, high = CALIBRATORS["mse"].activation_range(statistics(x), scheme)
    best = min(noise(x, -m, m, scheme) for m in np.linspace(0.01, 1.0, 400) * float(x.abs().max()))
    assert noise(x, low, high, scheme) <= 1.03 * best
    assert noise(x, low, high, scheme) < noise(x, float(x.min()), float(x.max()), scheme) or bits == 8


def test_mse_of_weights_is_as_good_as_an_exhaustive_search_per_channel() -> None:
    weight = heavy_tailed(3 * 2000).view(3, 2000, 1, 1) * torch.tensor([1.0, 30.0, 0.01]).view(3, 1, 1, 1)
    scheme = with_calibrator("mse", bits=4, granularity="per_channel")
    q = CALIBRATORS[scheme.calibrator].weight(weight, scheme, 0)
    achieved = (weight - q.fake_quantize(weight)).double().square().flatten(1).mean(1)
    for channel in range(3):
        x = weight[channel].flatten()
        best = min(noise(x, -m, m, TensorScheme(bits=4)) for m in np.linspace(0.01, 1.0, 400) * float(x.abs().max()))
        assert float(achieved[channel]) <= 1.03 * best


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("is_symmetric", [False, True])
def test_mse_finds_the_same_range_however_many_candidates_are_tried_at_once(
    bits: int, is_symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = with_calibrator("mse", bits=bits, symmetric=is_symmetric, granularity="per_channel")
    rows = heavy_tailed(5 * 400).view(5, 400) + torch.arange(5.0).view(5, 1)
    found = []
    for at_once in (1, 3 * 2000, 2**20):  # one by one, three by three, all
        monkeypatch.setattr("qdiag.calibrators.mse._AT_ONCE", at_once)
        found.append(torch.stack(CALIBRATORS["mse"].weight_range(rows, scheme)))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert bits == 8 or not torch.equal(found[0], torch.stack([rows.amin(1), rows.amax(1)]))


def migacz(counts: np.ndarray, levels: int) -> int:
    """A literal, slow reading of the slides: every candidate, bin by bin."""
    best, chosen = np.inf, len(counts)
    for cut in range(levels, len(counts) + 1):
        p = counts[:cut].astype(float)
        p[-1] += counts[cut:].sum()
        q = np.zeros(cut)
        for level in range(levels):
            first, last = level * cut // levels, (level + 1) * cut // levels
            inside = counts[first:last]
            if (inside > 0).any():
                q[first:last][inside > 0] = inside.sum() / (inside > 0).sum()
        p, q = p / p.sum(), q / q.sum()
        ok = p > 0
        divergence = np.sum(p[ok] * np.log(p[ok] / np.maximum(q[ok], 1e-12)))
        if divergence < best:
            best, chosen = divergence, cut
    return chosen


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_entropy_threshold_is_that_of_the_slides(seed: int) -> None:
    x = heavy_tailed(seed=seed).abs().numpy()
    counts, _ = np.histogram(x, bins=400, range=(0, x.max()))
    assert kl_threshold(counts.astype(np.float64), 1.0, 64) == migacz(counts, 64)


def test_entropy_clips_a_tail_and_leaves_a_box_alone() -> None:
    scheme = with_calibrator("entropy")
    x = heavy_tailed()
    low, high = CALIBRATORS["entropy"].activation_range(statistics(x), scheme)
    assert high < 0.8 * float(x.max())
    assert low == -high
    box = torch.empty(10, 6000).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    low, high = CALIBRATORS["entropy"].activation_range(statistics(box), scheme)
    assert high > 0.95


def test_entropy_is_not_outvoted_by_the_zeros_of_a_relu() -> None:
    x = torch.randn(10, 6000, generator=torch.Generator().manual_seed(0)).relu()
    assert float((x == 0).float().mean()) > 0.45
    low, high = CALIBRATORS["entropy"].activation_range(statistics(x), with_calibrator("entropy"))
    assert low == 0.0
    assert high > 3.0


def test_entropy_of_a_handful_of_logits_clips_nothing() -> None:
    x = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    low, high = CALIBRATORS["entropy"].activation_range(statistics(x), with_calibrator("entropy"))
    assert (low, high) == (float(x.min()), float(x.max()))


def test_entropy_with_more_levels_than_bins_clips_nothing() -> None:
    x = heavy_tailed()
    low, high = CALIBRATORS["entropy"].activation_range(statistics(x), with_calibrator("entropy", bits=16))
    assert (low, high) == (float(x.min()), float(x.max()))


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_calibrator_gives_a_usable_quantizer_for_odd_tensors(name: str, symmetric: bool) -> None:
    scheme = with_calibrator(name, symmetric=symmetric, signed=symmetric)
    for x in (torch.zeros(2, 5), torch.full((2, 5), 3.0), torch.full((2, 5), -2.0), torch.tensor([[0.0], [1e-30]])):
        q = CALIBRATORS[scheme.calibrator].activation(statistics(x, 0.1), scheme)
        assert float(q.scale) > 0
        if symmetric or float(x.max()) > 0:
            torch.testing.assert_close(q.fake_quantize(x), x, rtol=0.05, atol=1e-12)


@pytest.mark.parametrize("name", ["moving_average", "entropy"])
def test_calibrators_without_meaning_for_weights_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        QuantScheme(weights=with_calibrator(name))
    with pytest.raises(CalibrationError):
        CALIBRATORS[name].weight_range(torch.zeros(1, 4), with_calibrator(name))


def test_per_group_scales_have_one_row_per_channel_and_one_column_per_group() -> None:
    scheme = TensorScheme(bits=4, granularity="per_group", group_size=16)
    q = CALIBRATORS[scheme.calibrator].weight(torch.randn(6, 5, 3, 3), scheme, 0)
    assert q.scale.shape == (6, 3)
    assert q.granularity == "per_group"
