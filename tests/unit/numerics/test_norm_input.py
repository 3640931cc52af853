"""The distance of what reaches a BatchNorm from its statistics, against numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from qdiag.numerics.norm_input import ChannelMoments, live_channels, statistics_distance


def batches(shape: tuple[int, ...] = (9, 5, 4, 3)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    values = 40.0 + 3.0 * torch.randn(*shape, generator=generator) * torch.arange(1.0, 6.0).view(-1, 1, 1)[: shape[1]]
    return list(values.split(4))


def moments(parts: list[Tensor]) -> ChannelMoments:
    found = ChannelMoments()
    for part in parts:
        found.add(part)
    return found


def test_mean_and_variance_against_numpy_whatever_the_batches() -> None:
    whole = torch.cat(batches()).double().numpy()
    for parts in (batches(), [torch.cat(batches())]):
        mean, variance = moments(parts).mean_and_variance()
        np.testing.assert_allclose(mean.numpy(), whole.mean((0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(variance.numpy(), whole.var((0, 2, 3)), rtol=1e-9)


def test_features_without_positions() -> None:
    rows = torch.cat(batches())[:, :, 0, 0]
    mean, variance = moments([rows]).mean_and_variance()
    np.testing.assert_allclose(mean.numpy(), rows.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(variance.numpy(), rows.double().numpy().var(0), rtol=1e-9)


def test_quantiles_over_live_channels_against_numpy() -> None:
    whole = torch.cat(batches()).double().numpy()
    kept_mean, kept_variance = np.array([39.0, 41.0, 40.0, 47.0, 0.0]), np.array([8.0, 40.0, 90.0, 100.0, 1e-9])
    shift, ratio = statistics_distance(moments(batches()), torch.tensor(kept_mean), torch.tensor(kept_variance))
    live = slice(0, 4)
    expected = np.abs(whole.mean((0, 2, 3)) - kept_mean)[live] / np.sqrt(kept_variance[live])
    assert shift == pytest.approx(np.quantile(expected, 0.75), rel=1e-9)
    assert ratio == pytest.approx(np.median(whole.var((0, 2, 3))[live] / kept_variance[live]), rel=1e-9)
    assert live_channels(torch.tensor(kept_variance)).tolist() == [True] * 4 + [False]


def test_its_own_statistics_are_no_distance_and_one_broken_channel_is_not_the_inputs_fault() -> None:
    own = moments(batches())
    mean, variance = own.mean_and_variance()
    assert statistics_distance(own, mean, variance) == (0.0, 1.0)
    mean[2], variance[2] = 1e6, variance[2] / 1e3
    assert statistics_distance(own, mean, variance) == (0.0, 1.0)


def test_without_a_channel_that_varied_there_is_no_telling() -> None:
    shift, ratio = statistics_distance(moments(batches()), torch.zeros(5), torch.zeros(5))
    assert math.isnan(shift) and math.isnan(ratio)
    with pytest.raises(ValueError, match="no values"):
        ChannelMoments().mean_and_variance()
