"""The five losses by hand, and saturation against arithmetic on integers written out."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import qdiag
from qdiag.core.measures.records import LossRecord
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.losses import LossObserver
from tests.cases import open_test_case

UINT8 = TensorScheme(symmetric=False, signed=False)
INT8 = TensorScheme(symmetric=True, narrow_range=True)


class Net(nn.Module):
    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self.conv(x))


def net(gain: float = 1.0, kernel: int = 3) -> Net:
    torch.manual_seed(0)
    model = Net(kernel).eval()
    with torch.no_grad():
        model.conv.weight *= gain
    return model


IMAGES = torch.rand(6, 4, 10, 10, generator=torch.Generator().manual_seed(1))


def losses(model: nn.Module, scheme: QuantScheme, layer: str = "conv", images: torch.Tensor = IMAGES) -> LossRecord:
    record = qdiag.measure(model, images, scheme=scheme, with_losses=True).record(layer).losses
    assert record is not None
    return record


def affine(x: torch.Tensor) -> tuple[float, int]:
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = float(np.float32((high - low) / 255))
    return scale, int(np.rint(-low / scale))


def fq(x: torch.Tensor) -> torch.Tensor:
    return torch.fake_quantize_per_tensor_affine(x, *affine(x), 0, 255)


def power(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).square().mean())


def test_each_loss_switches_on_one_quantizer() -> None:
    model = net(gain=25.0)
    w, b = model.conv.weight.detach(), model.conv.bias.detach()
    found = losses(model, QuantScheme(weights=UINT8, activations=UINT8, bias="float"))
    exact = F.conv2d(IMAGES, w, b, padding=1)
    reference = exact.clamp(0, 6)
    assert found.input.mse == pytest.approx(
        power(reference, F.conv2d(fq(IMAGES), w, b, padding=1).clamp(0, 6)), rel=0.05
    )
    assert found.weight.mse == pytest.approx(
        power(reference, F.conv2d(IMAGES, fq(w), b, padding=1).clamp(0, 6)), rel=0.05
    )
    assert found.requantization.mse == pytest.approx(power(reference, fq(reference)), rel=0.05)
    assert found.clipping.mse == pytest.approx(power(exact.clamp(min=0), reference), rel=1e-4)
    assert found.clipping.mse > 0
    assert found.saturation.error_sq_sum < 1e-9 * found.saturation.reference_sq_sum


def test_an_accumulator_that_is_too_narrow_saturates() -> None:
    model = net(gain=3.0)
    wide = losses(model, QuantScheme(weights=INT8, activations=UINT8, accumulator_bits=32))
    narrow = losses(model, QuantScheme(weights=INT8, activations=UINT8, accumulator_bits=16))
    assert wide.saturation.sqnr_db > 100
    w, b = model.conv.weight.detach(), model.conv.bias.detach()
    scale, zero = affine(IMAGES)
    integers = np.rint(IMAGES.double().numpy() / scale) + zero
    weight_scale = float(np.float32(2 * float(w.abs().max()) / 254))
    kernel = torch.from_numpy(np.rint(w.double().numpy() / weight_scale))
    step = scale * weight_scale
    sums = F.conv2d(torch.from_numpy(integers - zero), kernel, padding=1)
    sums = sums + torch.from_numpy(np.rint(b.double().numpy() / step)).view(1, -1, 1, 1)
    limited = sums.clamp(-(2**15), 2**15 - 1)
    assert bool((sums != limited).any()), "the planted saturation must exist"
    assert narrow.saturation.mse == pytest.approx(power(sums * step, limited * step), rel=1e-3)


def pair_sums(kernel_size: int) -> tuple[float, float]:
    """Mean squared loss by explicit loops over pairs, for every output position; and the measured one."""
    model = net(gain=1.0, kernel=kernel_size)
    with torch.no_grad():
        model.conv.weight.abs_().add_(0.2)  # large weights of one sign: neighbouring products add up
    images = 0.6 + 0.4 * IMAGES[:1, :, :6, :6]
    scheme = QuantScheme(weights=INT8, activations=UINT8, bias="float", pair_saturation=True)
    measured = losses(model, scheme, images=images).saturation
    w = model.conv.weight.detach()
    scale, zero = affine(images)
    weight_scale = float(np.float32(2 * float(w.abs().max()) / 254))
    kernel = np.rint(w.double().numpy() / weight_scale)
    integers = np.rint(images[0].double().numpy() / scale) + zero
    border = (kernel_size // 2, kernel_size // 2)
    padded = np.pad(integers, ((0, 0), border, border), constant_values=zero)
    error = []
    for row in range(6):
        for column in range(6):
            patch = padded[:, row : row + kernel_size, column : column + kernel_size]
            a = patch.transpose(1, 2, 0).ravel()
            for out in range(6):
                products = a * kernel[out].transpose(1, 2, 0).ravel()
                if len(products) % 2:
                    products = np.append(products, 0.0)
                pairs = products.reshape(-1, 2).sum(1)
                error.append(((pairs - pairs.clip(-(2**15), 2**15 - 1)).sum() * scale * weight_scale) ** 2)
    return float(np.mean(error)), measured.mse


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_pairs_saturate_in_sixteen_bits(kernel_size: int) -> None:
    by_hand, measured = pair_sums(kernel_size)
    assert by_hand > 0
    assert measured == pytest.approx(by_hand, rel=1e-3)


def test_seven_bit_activations_do_not_saturate() -> None:
    model = net(gain=4.0)
    seven = TensorScheme(bits=7, symmetric=False, signed=False)
    found = losses(model, QuantScheme(weights=INT8, activations=seven, pair_saturation=True))
    assert found.saturation.sqnr_db > 100


def test_layers_without_weights_have_no_weight_loss() -> None:
    class Add(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.tanh(x)

    found = losses(Add(), QuantScheme(weights=INT8, activations=UINT8), layer="add")
    assert found.weight.error_sq_sum == 0.0
    assert found.input.error_sq_sum > 0.0
    assert found.requantization.error_sq_sum > 0.0


def test_of_large_images_some_rows_tell_the_same() -> None:
    images = torch.rand(4, 4, 160, 160, generator=torch.Generator().manual_seed(2))
    model = net(gain=25.0)
    case = open_test_case(model, [images], QuantScheme(weights=UINT8, activations=UINT8, bias="float"))
    whole, some = LossObserver(case.network, case.plan), LossObserver(case.network, case.plan, is_full=False)
    facts = FactObserver(), FactObserver(is_full=False)
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan), [whole, some, *facts])
        run_batches(runner, case.measured, NoProgress(), stage="simulate")
    one, other = whole.records()["conv"], some.records()["conv"]
    assert one.input.count == 4 * 6 * 160 * 160 and other.input.count == 4 * 6 * 80 * 160 < one.input.count
    exact = F.conv2d(images, model.conv.weight.detach(), model.conv.bias.detach(), padding=1)
    rows = exact.clamp(0, 6)[:, :, 1::2]
    assert other.requantization.mse == pytest.approx(power(rows, fq(exact.clamp(0, 6))[:, :, 1::2]), rel=0.05)
    assert other.clipping.mse == pytest.approx(power(exact.clamp(min=0)[:, :, 1::2], rows), rel=1e-4)
    for name in ("input", "weight", "requantization", "clipping"):
        assert getattr(other, name).sqnr_db == pytest.approx(getattr(one, name).sqnr_db, abs=0.2), name
    full, part = (observer.facts()["conv"] for observer in facts)
    assert part.saturated_at_bound_fraction == pytest.approx(full.saturated_at_bound_fraction, rel=0.02)
    assert part.mean_shift_fraction == pytest.approx(full.mean_shift_fraction, rel=0.1)
    assert part.channel_sqnr_db_median == pytest.approx(full.channel_sqnr_db_median, abs=0.2)
    assert part.saturated_at_bound_fraction != full.saturated_at_bound_fraction, "some rows are not all"
