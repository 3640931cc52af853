"""The rule for dead channels and the figures beside it, on numbers that can be checked by hand."""

import math

import pytest
import torch
from torch import Tensor

from qdiag.numerics.bn_audit import (
    dead_channels,
    effective_bits,
    folded_max_abs,
    gain_outliers,
    live_mask,
    range_cost,
)

EPS = 1e-3


def dead(variance: list[float], folded: list[float] | None = None, eps: float = EPS) -> dict[int, str]:
    found = dead_channels(None, None, torch.tensor(variance), eps, None if folded is None else torch.tensor(folded))
    return {channel.channel: channel.evidence for channel in found}


def test_evidence_of_one_dead_channel_by_hand() -> None:
    gamma, beta = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.1, 0.7, 0.2])
    (found,) = dead_channels(gamma, beta, torch.tensor([1.0, 0.0, 3.0]), 0.04, torch.tensor([4.0, 8.0, 1.0]))
    assert found.channel == 1
    assert found.gain == pytest.approx(-2.0 / math.sqrt(0.04))
    assert found.output_constant == pytest.approx(0.7)
    assert found.output_std == 0.0
    assert found.variance_over_live == 0.0
    assert found.range_over_live == pytest.approx(2.0)
    assert found.sets_range


def test_eps_is_the_unit_of_small() -> None:
    assert dead([1.0, 1e-6, 2.0, 3.0], eps=1e-3) == {1: "zero variance"}
    assert dead([1.0, 1e-6, 2.0, 3.0], eps=1e-5) == {}


def test_output_std_is_what_the_division_leaves() -> None:
    (found,) = dead_channels(torch.tensor([1.0, 2.0, 1.0]), None, torch.tensor([1.0, 1e-6, 1.0]), EPS)
    assert found.output_std == pytest.approx(2.0 * math.sqrt(1e-6 / (1e-6 + EPS)))
    assert math.isnan(found.range_over_live)
    assert not found.sets_range


def test_far_below_the_others_but_far_above_eps_is_alive() -> None:
    # CIFAR ResNets have these: 1.1e-4 beside 1.4 at eps 1e-5, and BatchNorm scales them up as it should.
    assert dead([1.1e-4, 1.4, 2.0, 1.0], eps=1e-5) == {}


def test_a_layer_whose_variances_are_all_small_is_alive() -> None:
    assert dead([2e-7, 1e-7, 5e-7, 9e-8]) == {}


def test_a_layer_that_is_constant_altogether_is_dead() -> None:
    assert set(dead([1e-13, 0.0, 1e-20])) == {0, 1, 2}


def test_most_channels_dead_does_not_hide_them() -> None:
    assert set(dead([1e-16] * 30 + [0.5, 0.2])) == set(range(30))


def test_near_zero_counts_only_when_it_stretches_the_range() -> None:
    variance = [1.0, 5e-6, 2.0, 3.0]
    assert dead(variance, [1.0, 1.9, 1.0, 1.0]) == {}
    assert dead(variance, [1.0, 2.1, 1.0, 1.0]) == {1: "near-zero variance"}
    assert dead(variance) == {}


def test_denormals_and_an_eps_of_zero_do_not_break_it() -> None:
    assert dead([5.6e-45, 1.0, 2.0]) == {0: "zero variance"}
    assert set(dead([0.0, 1.0, 2.0], eps=0.0)) == {0}


def test_a_huge_gain_on_a_tiny_weight_is_dead_and_sets_nothing() -> None:
    # Conv2d_2a_3x3.bn of a published InceptionV3: variance 1.9e-14 at eps 1e-3, weights of 3e-10.
    variance = torch.tensor([1.9e-14, 0.5, 0.7])
    gamma = torch.tensor([31.6, 1.0, 1.0])
    gain = gamma / (variance + EPS).sqrt()
    folded = torch.tensor([3e-10, 0.4, 0.3]) * gain
    (found,) = dead_channels(gamma, None, variance, EPS, folded)
    assert found.gain == pytest.approx(999.3, rel=1e-3)
    assert found.range_over_live < 1e-5
    assert not found.sets_range


def weight(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tail", [(), (3,), (3, 3), (2, 3, 2)], ids=["linear", "1d", "2d", "3d"])
def test_folded_range_before_and_after(tail: tuple[int, ...]) -> None:
    w, after, before = weight(6, 4, *tail), torch.arange(1.0, 7.0), torch.arange(1.0, 5.0)
    expected = [float((w[c] * after[c]).abs().max()) for c in range(6)]
    assert folded_max_abs(w, after, output_axis=0, is_before=False).tolist() == pytest.approx(expected)
    expected = [float((w[:, c] * before[c]).abs().max()) for c in range(4)]
    assert folded_max_abs(w, before, output_axis=0, is_before=True).tolist() == pytest.approx(expected)


def test_folded_range_of_groups_and_transposed_convolutions() -> None:
    gain = torch.arange(1.0, 7.0)
    grouped = weight(4, 3, 3, 3)  # 6 inputs in 2 groups
    expected = [float((grouped[2 * (c // 3) : 2 * (c // 3) + 2, c % 3] * gain[c]).abs().max()) for c in range(6)]
    assert folded_max_abs(grouped, gain, output_axis=0, is_before=True, groups=2).tolist() == pytest.approx(expected)
    transposed = weight(4, 3, 2, 2)  # (C_in, C_out / groups): 6 outputs in 2 groups
    expected = [float((transposed[2 * (c // 3) : 2 * (c // 3) + 2, c % 3] * gain[c]).abs().max()) for c in range(6)]
    result = folded_max_abs(transposed, gain, output_axis=1, is_before=False, groups=2)
    assert result.tolist() == pytest.approx(expected)


def test_effective_bits() -> None:
    assert effective_bits(torch.tensor([8.0, 4.0, 0.5, 0.0]), 8).tolist() == [8.0, 7.0, 4.0, -math.inf]


def test_cost_of_a_live_channel_and_of_dead_ones_together() -> None:
    alone = range_cost(torch.tensor([1.0, 16.0, 2.0]), torch.tensor([True, True, True]))
    assert alone is not None
    assert (alone.channels, alone.is_dead, alone.cost_bits, alone.charged_count) == ((1,), False, 3.0, 2)
    together = range_cost(torch.tensor([64.0, 16.0, 2.0, 1.0, 0.5]), torch.tensor([False, False, True, True, False]))
    assert together is not None
    assert (together.channels, together.is_dead, together.cost_bits) == ((0, 1), True, 5.0)
    assert together.charged_count == 2


def test_no_cost_without_two_channels_to_compare() -> None:
    assert range_cost(torch.tensor([3.0]), torch.tensor([True])) is None
    assert range_cost(torch.tensor([3.0, 0.0]), torch.tensor([True, True])) is None
    assert range_cost(torch.tensor([math.inf, 1.0]), torch.tensor([True, True])) is None


def test_gain_outliers_need_three_bits_and_four_deviations() -> None:
    live = torch.ones(9, dtype=torch.bool)
    narrow = torch.tensor([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0, 7.0])
    assert gain_outliers(narrow, live) == ()
    narrow[8] = -9.0
    (found,) = gain_outliers(narrow, live, torch.tensor([1.0] * 8 + [0.5]))
    assert (found.channel, found.gain) == (8, -9.0)
    assert found.gain_over_median == pytest.approx(9.0)
    assert found.range_over_others == pytest.approx(0.5)
    assert not found.sets_range
    broad = torch.tensor([2.0**k for k in range(-4, 5)])
    assert gain_outliers(broad, live) == ()


def test_dead_channels_are_no_outliers() -> None:
    gain = torch.tensor([1.0, 1.0, 1.0, 1.0, 50.0])
    found = dead_channels(None, None, torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]), EPS)
    assert gain_outliers(gain, live_mask(5, found)) == ()
