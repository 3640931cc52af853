"""Real runs keep the outcomes of samples, so that two of them can be paired."""

import pytest
import torch

import qdiag
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import PairedCounts


def measured(bits: int, batch_size: int) -> Measurement:
    """A small network with labels that it gets right most of the time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = torch.nn.Sequential(torch.nn.Linear(12, 24), torch.nn.ReLU(), torch.nn.Linear(24, 7)).eval()
        x = torch.randn(90, 12)
        labels = net(x).argmax(1)
        labels[::4] = (labels[::4] + 1) % 7
    batches = [(x[i : i + batch_size], labels[i : i + batch_size]) for i in range(0, 90, batch_size)]
    base = qdiag.load_scheme("int8")
    scheme = qdiag.QuantScheme(
        weights=qdiag.TensorScheme(bits=bits, granularity="per_channel"), activations=base.activations
    )
    return qdiag.measure(net, batches, scheme=scheme)


@pytest.mark.parametrize("batch_size", [90, 13])
def test_two_runs_on_the_same_samples_are_paired_exactly(batch_size: int) -> None:
    fine, coarse = measured(8, 90).task.accuracy, measured(2, batch_size).task.accuracy
    assert fine is not None
    assert coarse is not None
    assert fine.outcomes is not None
    assert coarse.outcomes is not None
    count = fine.outcomes.count
    assert count == coarse.outcomes.count == 90
    assert fine.outcomes.reference == coarse.outcomes.reference
    pairs = PairedCounts.of_bits(reference=fine.outcomes.simulated, simulated=coarse.outcomes.simulated, count=count)
    assert pairs is not None
    assert pairs.reference_percent == fine.simulated
    assert pairs.simulated_percent == coarse.simulated
    assert pairs.reference_only > pairs.simulated_only
