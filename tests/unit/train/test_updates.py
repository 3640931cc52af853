"""Samples, losses, ranges and the shift-based AdaMax against formulas that are written out."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.tensor_scheme import TensorScheme
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import batches_from
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.binary import Binary
from qdiag.simulate.task.classes import Logits, TopK
from qdiag.simulate.task.masks import MeanIoU, Positions
from qdiag.simulate.task.numbers import MeanError
from qdiag.simulate.task.tasks import Tasks
from qdiag.train.losses import choose_loss
from qdiag.train.network.derivatives import quantized
from qdiag.train.network.ranges import FollowedRange, LearnedRange, shortest
from qdiag.train.samples import shuffled
from qdiag.train.shift_adamax import ShiftAdaMax

CPU = torch.device("cpu")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_samples_come_once_each_in_another_order_in_every_epoch() -> None:
    x = torch.arange(37.0).view(-1, 1)
    data = batches_from((x, torch.arange(37)))
    first, second = (list(shuffled(data, 8, seed)) for seed in (1, 2))
    assert [batch.sample_count for batch in first] == [8, 8, 8, 8]
    seen = torch.cat([batch.args[0].flatten() for batch in first])
    assert len(set(seen.tolist())) == 32 and seen.tolist() != sorted(seen.tolist())
    assert all(torch.equal(batch.args[0].flatten().long(), batch.labels) for batch in first)
    assert not torch.equal(seen, torch.cat([batch.args[0].flatten() for batch in second]))


@pytest.mark.parametrize("window", [1, 100, 10_000])
def test_windows_use_each_sample_at_most_once(window: int) -> None:
    data = batches_from(torch.arange(50.0).view(-1, 1))
    found = list(shuffled(data, 8, 3, window_bytes=window))
    counts = Counter(torch.cat([batch.args[0].flatten() for batch in found]).tolist())
    assert [batch.sample_count for batch in found] == [8] * 6 and max(counts.values()) == 1


def test_fewer_samples_than_a_batch_are_one() -> None:
    (only,) = shuffled(batches_from(drawn(5, 2)), 8, 0)
    assert only.sample_count == 5


def test_shift_adamax_as_written_out() -> None:
    """arXiv 1602.02830, algorithm 4, number by number."""
    parameter = torch.tensor([0.7, -0.2, 0.0], requires_grad=True)
    optimizer = ShiftAdaMax([{"params": [parameter]}], lr=0.03)
    weights, m, v = [0.7, -0.2, 0.0], [0.0] * 3, [0.0] * 3
    for step, gradients in enumerate([(0.3, -1.7, 0.0), (0.9, 0.1, 0.0), (-0.05, 0.4, 0.0)], 1):
        parameter.grad = torch.tensor(gradients)
        optimizer.step()
        rate = 2.0 ** round(math.log2(0.03 / (1.0 - 0.875**step)))
        for i, g in enumerate(gradients):
            m[i] = 0.875 * m[i] + 0.125 * g
            v[i] = max((1.0 - 2.0**-10) * v[i], abs(g))
            weights[i] -= rate * m[i] / 2.0 ** round(math.log2(v[i])) if v[i] else 0.0
        torch.testing.assert_close(parameter.detach(), torch.tensor(weights))


def test_a_followed_range_is_a_moving_average() -> None:
    scheme = TensorScheme(symmetric=False, signed=False)
    found = FollowedRange(scheme, -1.0, 4.0, 0.25, CPU)
    found.follow(torch.tensor(-3.0), torch.tensor(8.0))
    found.follow(torch.tensor(math.nan), torch.tensor(8.0))  # such a batch says nothing
    assert found.bounds == (-1.5, 5.0)
    expected = Affine.from_range(torch.tensor(-1.5), torch.tensor(5.0), scheme)
    assert found.quantizer.key == expected.key


@pytest.mark.parametrize(
    ("scheme", "low", "high"),
    [
        (TensorScheme(), -0.3, 1.7),
        (TensorScheme(narrow_range=True, bits=4), -0.3, 1.7),
        (TensorScheme(symmetric=False, signed=False), -0.3, 1.7),
        (TensorScheme(symmetric=False, signed=True, bits=16), -3.0, 0.2),
        (TensorScheme(symmetric=True, signed=False), 0.0, 2.3),
    ],
)
def test_the_bounds_of_a_learned_range_give_its_quantizer_again(scheme: TensorScheme, low: float, high: float) -> None:
    for share in (1.0, 0.37, 1.93):
        start = Affine.from_range(torch.tensor(low), torch.tensor(high), scheme)
        found = LearnedRange(scheme, start)
        with torch.no_grad():
            found.step.mul_(share)
        again = Affine.from_range(*map(torch.tensor, found.bounds), scheme)
        assert again.key == found.quantizer.key
        assert float(again.zero_point) == float(start.zero_point)
        torch.testing.assert_close(again.scale, found.step.detach(), rtol=3e-7, atol=0.0)


def test_a_learned_step_stays_above_zero() -> None:
    found = LearnedRange(TensorScheme(), Affine.from_range(torch.tensor(-1.0), torch.tensor(1.0), TensorScheme()))
    with torch.no_grad():
        found.step.fill_(-5.0)
    found.settle()
    assert float(found.step.detach()) == pytest.approx(2.0 / 255.0 / 1024.0)


def test_the_shortest_number_is_the_same_float32() -> None:
    for value in drawn(200).tolist():
        assert torch.tensor(shortest(value)) == torch.tensor(value) and len(str(shortest(value))) <= 16


def test_signs_with_a_magnitude_have_the_derivative_of_the_source() -> None:
    """arXiv 1603.05279, equation 11: (1 / n + alpha 1_{|w| <= 1})."""
    w = torch.tensor([[0.5, -1.5, 0.25, -0.75]], requires_grad=True)
    quantizer = Binary(torch.tensor([0.75]), True, 0)
    (gradient,) = torch.autograd.grad(quantized(w, quantizer).sum(), w)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, 0.25, 1.0, 1.0]]))


def test_centred_signs_pass_the_gradient_through_the_centring() -> None:
    w = drawn(2, 3, 1, 1).requires_grad_()
    quantizer = Binary(torch.ones(()), False, None, 1)
    weight = drawn(2, 3, 1, 1, seed=1)
    (own,) = torch.autograd.grad((quantized(w, quantizer) * weight).sum(), w)
    other = w.detach().clone().requires_grad_()
    centred = (other - other.mean(1, keepdim=True)).clamp(-1.0, 1.0)
    (theirs,) = torch.autograd.grad((centred * weight).sum(), other)
    torch.testing.assert_close(own, theirs)


def classifier(*, is_labelled: bool = True) -> Tasks:
    logits = Logits(0, 4)
    return Tasks((TopK(logits),) if is_labelled else (), logits=logits, output=0)


def test_losses_of_tasks() -> None:
    outputs, teacher = (drawn(6, 4),), (drawn(6, 4, seed=1),)
    batch = Batch((drawn(6, 2),), labels=torch.tensor([0, 3, 1, 1, 2, 0]))
    found = choose_loss(classifier())
    assert found.name == "cross-entropy" and not found.needs_float
    own = -outputs[0].log_softmax(1)[torch.arange(6), batch.labels].mean()
    torch.testing.assert_close(found.of(outputs, batch, ()), own)

    for chosen in (choose_loss(classifier(is_labelled=False)), choose_loss(classifier(), distill=True)):
        assert chosen.name == "distillation" and chosen.needs_float
        p = teacher[0].softmax(1)
        divergence = (p * (p.log() - outputs[0].log_softmax(1))).sum(1).mean()
        torch.testing.assert_close(chosen.of(outputs, batch, teacher), divergence)

    numbers = choose_loss(Tasks((MeanError(0),), output=0))
    targets = Batch(batch.args, labels=drawn(6, 4, seed=2))
    expected = (outputs[0] - targets.labels).square().mean().double()
    torch.testing.assert_close(numbers.of(outputs, targets, ()), expected)

    alike = choose_loss(Tasks())
    power = ((outputs[0] - teacher[0]).square().mean() / teacher[0].square().mean()).double()
    torch.testing.assert_close(alike.of(outputs, batch, teacher), power)


def test_positions_that_are_ignored_count_for_nothing() -> None:
    logits, masks = drawn(2, 3, 4, 4), torch.arange(32).view(2, 4, 4) % 3
    masks[0, 0] = 255
    found = choose_loss(Tasks((MeanIoU(Positions(0, 1, 3)),), output=0))
    own = found.of((logits,), Batch((logits,), labels=masks), ())
    torch.testing.assert_close(own, torch.nn.functional.cross_entropy(logits, masks, ignore_index=255))
    single = choose_loss(Tasks((MeanIoU(Positions(0, 1, 1)),), output=0))
    foreground = (masks > 0).long()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], foreground.float())
    torch.testing.assert_close(single.of((logits[:, :1],), Batch((logits,), labels=foreground), ()), expected)


def test_a_loss_of_the_users_own() -> None:
    batch = Batch((drawn(6, 2),), labels=drawn(6, 4, seed=3))
    found = choose_loss(classifier(), function=lambda outputs, targets: (outputs - targets).abs().mean(1))
    torch.testing.assert_close(found.of((drawn(6, 4),), batch, ()), (drawn(6, 4) - batch.labels).abs().mean())
    with pytest.raises(ConfigError, match="the loss returned int"):
        choose_loss(classifier(), function=lambda *_: 3).of((drawn(6, 4),), batch, ())
    with pytest.raises(ConfigError, match="the loss failed") as failed:
        choose_loss(classifier(), function=lambda o, t: o - t).of((drawn(6, 4),), Batch((drawn(6, 2),)), ())
    assert failed.value.hint == "the data has no labels: targets is None"
