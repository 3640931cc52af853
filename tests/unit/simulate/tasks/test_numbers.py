"""Regression, images and embeddings, against numpy written apart."""

import math

import numpy as np
import pytest
import torch

from qdiag.errors import DataError
from qdiag.simulate.task.numbers import PSNR, Cosine, MeanError
from tests.judged import gained, is_undefined, judged


def answers(n: int = 40, shape: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Of the float network and of the quantized one, and targets in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(n, *shape, generator=generator)
    reference = targets + 0.05 * torch.randn(targets.shape, generator=generator)
    return reference, reference + 0.04 * torch.randn(targets.shape, generator=generator), targets


def test_mae_and_rmse() -> None:
    reference, simulated, targets = answers()
    errors = {"reference": reference.double() - targets, "simulated": simulated.double() - targets}
    mae = judged(MeanError(0), reference, simulated, targets)
    rmse = judged(MeanError(0, "RMSE"), reference, simulated, targets)
    for name, error in errors.items():
        e = error.numpy()
        assert getattr(mae, name) == pytest.approx(np.mean(np.abs(e)))
        assert getattr(rmse, name) == pytest.approx(math.sqrt(np.mean(e * e)))
    assert not mae.criterion.higher_is_better and mae.loss == pytest.approx(mae.simulated - mae.reference)
    assert mae.loss > 0 and mae.limit == pytest.approx(0.05 * mae.reference)


def test_the_interval_of_mae_is_that_of_a_mean_of_paired_differences() -> None:
    reference, simulated, targets = answers()
    figure = judged(MeanError(0), reference, simulated, targets)
    own = [(x.double() - targets).abs().flatten(1).mean(1).numpy() for x in (reference, simulated)]
    difference = own[1] - own[0]
    margin = 1.959964 * difference.std(ddof=1) / math.sqrt(len(difference))
    assert figure.loss_interval.low == pytest.approx(difference.mean() - margin)
    assert figure.loss_interval.high == pytest.approx(difference.mean() + margin)


@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_psnr(peak: float) -> None:
    reference, simulated, targets = (peak * x for x in answers())
    figure = judged(PSNR(0, peak), reference, simulated, targets)
    for value, x in ((figure.reference, reference), (figure.simulated, simulated)):
        mse = ((x.double() - targets.double()) ** 2).numpy().reshape(40, -1).mean(1)
        assert value == pytest.approx(np.mean(10 * np.log10(peak**2 / mse)))
    assert figure.criterion.unit == "dB" and figure.loss > 0


def test_psnr_is_the_same_for_bytes_and_fractions() -> None:
    reference, simulated, targets = answers()
    one = judged(PSNR(0, 1.0), reference, simulated, targets)
    other = judged(PSNR(0, 255.0), 255 * reference, 255 * simulated, 255 * targets)
    assert one.loss == pytest.approx(other.loss, abs=1e-4)
    assert one.reference == pytest.approx(other.reference, abs=1e-4)


def test_exact_images_have_a_finite_psnr() -> None:
    _, simulated, targets = answers()
    figure = judged(PSNR(0), targets, simulated, targets)
    assert figure.reference == 100.0 and math.isfinite(figure.loss)


@pytest.mark.parametrize("is_against_float", [True, False])
def test_cosine(is_against_float: bool) -> None:
    reference, simulated, targets = (x.reshape(40, 60) - 0.5 for x in answers())
    other = (reference if is_against_float else targets).double().numpy()
    own = simulated.double().numpy()
    figure = judged(Cosine(0, is_against_float), reference, simulated, targets)
    wanted = np.sum(own * other, 1) / np.sqrt(np.sum(own**2, 1) * np.sum(other**2, 1))
    assert figure.simulated == pytest.approx(wanted.mean())
    assert (figure.reference == 1.0) is is_against_float


def test_cosine_of_zero_vectors() -> None:
    zero, one = torch.zeros(3, 4), torch.ones(3, 4)
    assert judged(Cosine(0), zero, zero).simulated == 1.0
    assert judged(Cosine(0), one, zero).simulated == 0.0
    assert judged(Cosine(0), one, -one).simulated == pytest.approx(-1.0)


@pytest.mark.parametrize("task", [MeanError(0), MeanError(0, "RMSE"), PSNR(0), Cosine(0), Cosine(0, False)])
def test_nan_leaves_no_figure_that_looks_good(task: MeanError | PSNR | Cosine) -> None:
    reference, simulated, targets = answers(shape=(6,))
    simulated[3, 2] = torch.nan
    figure = judged(task, reference, simulated, targets)
    assert math.isfinite(figure.reference)
    assert math.isnan(figure.simulated) and math.isnan(figure.loss)
    assert is_undefined(figure.loss_interval)
    assert gained(task, reference, simulated, reference, targets).value == math.inf
    assert gained(task, reference, reference, simulated, targets).value == -math.inf


def test_targets_of_one_number_may_lack_the_axis() -> None:
    reference, simulated, targets = (x.reshape(40, 1) for x in answers(shape=(1,)))
    wanted = judged(MeanError(0), reference, simulated, targets)
    assert judged(MeanError(0), reference, simulated, targets[:, 0]) == wanted


def test_the_second_output_is_judged_where_it_is_asked_for() -> None:
    reference, simulated, targets = answers()
    other = torch.zeros(40, 2)
    assert judged(MeanError(1), (other, reference), (other + 9, simulated), targets) == judged(
        MeanError(0), reference, simulated, targets
    )


def test_targets_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="targets have 3 numbers per sample, the network gives 4"):
        judged(MeanError(0), torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 3))
