"""Inputs without data: nearer to the stored statistics than noise, repeatable, and marked."""

import warnings

import pytest
import torch
from torch import nn

import qdiag
from qdiag.errors import DataError
from qdiag.pipeline.preparation.synthesize import synthesize_datasets
from qdiag.simulate.session import Session
from qdiag.subject import Subject
from tests.figures import top1_of
from tests.runs import measure_subject


def trained(shift: float = 1.5) -> nn.Module:
    """A network whose training images were brighter and smoother than Gaussian noise."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8, momentum=0.5),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.BatchNorm2d(12, momentum=0.5),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )
    with torch.no_grad():
        for _ in range(10):
            net.train()(nn.functional.avg_pool2d(torch.randn(64, 3, 16, 16), 3, 1, 1) + shift)
    return net.eval()


def distance(net: nn.Module, images: torch.Tensor) -> float:
    """How far the norms' inputs are from their stored statistics, measured with hooks."""
    found: list[float] = []

    def look(norm: nn.Module, args: tuple[torch.Tensor, ...], _: object) -> None:
        x = args[0]
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3))
        unit = norm.running_var.sqrt()
        found.append(float((((mean - norm.running_mean) / unit) ** 2 + (std / unit - 1) ** 2).mean()))

    handles = [m.register_forward_hook(look) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    return sum(found) / len(found)


def drawn(net: nn.Module, seed: int = 0, **kwargs: int) -> tuple[torch.Tensor, object]:
    datasets = synthesize_datasets(Session(seed=seed), Subject(net, "module", "net", "net"), (1, 3, 16, 16), **kwargs)
    return torch.cat([batch.args[0] for batch in datasets.evaluation]), datasets


def test_statistics_come_much_nearer_than_those_of_noise() -> None:
    net = trained()
    images, _ = drawn(net)
    assert distance(net, images) < 0.2 * distance(net, torch.randn(32, 3, 16, 16))


def test_counts_seed_and_marks() -> None:
    net = trained()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    images, datasets = drawn(net, samples=10, calib_samples=6, batch_size=4)
    again, _ = drawn(net, samples=10, calib_samples=6, batch_size=4)
    other, _ = drawn(net, seed=1, samples=10, calib_samples=6, batch_size=4)
    assert images.shape == (10, 3, 16, 16)
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    result = measure_subject(Subject(net, "module", "net", "net"), datasets, qdiag.load_scheme("int8"))
    assert result.data.is_data_free
    assert "2 BatchNorms" in result.data.source
    assert (result.data.calibration_count, result.data.measured_count) == (6, 10)
    assert any("data-free" in note for note in result.notes)
    assert top1_of(result.task) is None


def test_ranges_are_nearer_to_the_real_ones_than_those_of_noise() -> None:
    net = trained()
    real = nn.functional.avg_pool2d(torch.randn(64, 3, 16, 16), 3, 1, 1) + 1.5
    images, _ = drawn(net)

    def power(x: torch.Tensor) -> float:
        return qdiag.measure(net, x, scheme="tf-uint8").record("3").local.signal_power

    assert power(images) == pytest.approx(power(real), rel=0.5)


def test_a_network_without_norms_gets_noise_and_says_so() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    _, datasets = drawn(net)
    assert "no BatchNorm statistics" in datasets.evaluation.source  # type: ignore[attr-defined]


class Flattening(nn.Module):
    """Exported at one batch size, `view` keeps that size for good."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 6 * 6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.norm(self.conv(x)).view(x.shape[0], -1))
        return y


@pytest.mark.parametrize("batch", [1, 4])
def test_a_program_saved_with_a_fixed_batch_gets_inputs_too(batch: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Flattening().eval(), (torch.randn(batch, 3, 8, 8),))
    subject = Subject(program, "exported_program", "net.pt2", "Flattening")
    datasets = synthesize_datasets(Session(), subject, (batch, 3, 8, 8), samples=6, calib_samples=4)
    assert (datasets.calibration.sample_count, datasets.evaluation.sample_count) == (4, 6)
    assert "of 1 BatchNorm (" in datasets.evaluation.source
    assert measure_subject(subject, datasets, qdiag.load_scheme("int8")).data.is_data_free


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 3, 16)])
@pytest.mark.parametrize("exported", [False, True])
def test_a_shape_that_the_network_does_not_take_is_refused(shape: tuple[int, ...], exported: bool) -> None:
    model: object = trained()
    if exported:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.export.export(trained(), (torch.randn(2, 3, 16, 16),))
    subject = Subject(model, "module", "net", "net")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="does not accept inputs of shape") as caught:
        synthesize_datasets(Session(), subject, shape)
    assert caught.value.at == "`input_shape`"
