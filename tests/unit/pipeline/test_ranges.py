"""`ranges` against numpy and scipy over every element."""

import numpy as np
import pytest
import torch
from torch import nn

import qdiag
from qdiag.core.measures.ranges import PERCENTILES

stats = pytest.importorskip("scipy.stats")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.fc = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(torch.relu(self.conv(x)).mean((2, 3)))
        return y


def test_every_figure_per_tensor_and_per_channel() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    images = torch.randn(20, 3, 8, 8)
    report = qdiag.ranges(net, list(images.split(6)))
    records = {(r.layer, r.role): r for r in report.records}
    assert list(records) == [
        ("input:x", "activation"),
        ("conv", "weight"),
        ("conv", "activation"),
        ("pool", "activation"),
        ("fc", "weight"),
        ("fc", "activation"),
    ]
    with torch.no_grad():
        values = {
            ("input:x", "activation"): images,
            ("conv", "weight"): net.conv.weight,
            ("conv", "activation"): torch.relu(net.conv(images)),
            ("fc", "weight"): net.fc.weight,
            ("fc", "activation"): net(images),
        }
    for key, tensor in values.items():
        record, x = records[key], tensor.detach().double().numpy()
        axis = 0 if key[1] == "weight" else 1
        t = record.tensor
        assert (t.count, t.sampled_count) == (x.size, x.size)
        assert t.min == pytest.approx(x.min(), abs=1e-5)
        assert t.max == pytest.approx(x.max(), abs=1e-5)
        assert t.mean == pytest.approx(x.mean(), abs=1e-5)
        assert t.std == pytest.approx(x.std(), rel=1e-4)
        assert t.kurtosis == pytest.approx(stats.kurtosis(x.ravel(), fisher=False), rel=1e-3)
        assert t.zero_fraction == pytest.approx((x == 0).mean())
        assert t.histogram is not None
        assert t.histogram.total == x.size
        for percent, value in zip(PERCENTILES, t.percentiles, strict=True):
            exact = np.percentile(x, percent, method="inverted_cdf")
            assert value == pytest.approx(exact, abs=1.01 * t.histogram.bin_width)
        c = record.channels
        assert c is not None
        assert c.channel_axis == axis
        rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
        np.testing.assert_allclose(c.min, rows.min(1), atol=1e-5)
        np.testing.assert_allclose(c.max, rows.max(1), atol=1e-5)
        np.testing.assert_allclose(c.mean, rows.mean(1), atol=1e-5)
        np.testing.assert_allclose(c.std, rows.std(1), rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(c.zero_fraction, (rows == 0).mean(1))
        np.testing.assert_allclose(c.kurtosis, stats.kurtosis(rows, axis=1, fisher=False), rtol=1e-2)
        median = np.percentile(rows, 50, axis=1, method="inverted_cdf")
        np.testing.assert_allclose(c.percentiles[3], median, atol=np.abs(x).max() / 64)
        assert c.spread_bits == pytest.approx(
            np.log2(np.abs(rows).max() / np.sort(np.abs(rows).max(1))[len(rows) // 2]), abs=1e-4
        )


def test_nonfinite_activations_are_counted_not_hidden() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sqrt(x)

    images = torch.linspace(-1, 3, 400).view(4, 1, 10, 10)
    report = qdiag.ranges(Root(), images)
    tensor = report.records[1].tensor
    assert tensor.nonfinite_count == int((images < 0).sum())
    assert tensor.count == int((images >= 0).sum())
    assert tensor.max == pytest.approx(3**0.5)
