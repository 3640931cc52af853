"""What one batch shows about the task of a network."""

import torch
from torch import Tensor

from qdiag.batches import Batches
from qdiag.capture.program import Runner
from qdiag.simulate.passes.network import Network
from qdiag.simulate.task.choose import Seen
from qdiag.simulate.task.hints import outputs_of
from qdiag.targets import kind_of_targets


def what_is_seen(network: Network, batches: Batches) -> Seen:
    """The outputs of the float network for the first batch, and the labels beside it."""
    batch = next(iter(batches))
    with torch.inference_mode():
        placed = network.placed(batch)
        values = Runner(network.program)(placed.args, placed.kwargs)
    return Seen(
        outputs_of(network, values, batch.sample_count),
        batch.labels,
        lambda: _label_range(batches),
        kind_of_targets(batch.labels),
        tuple(values),
    )


def _label_range(batches: Batches) -> tuple[int, int]:
    """Least and largest class number of all samples: where it decides, all batches are looked at."""
    ends = [batch.labels.aminmax() for batch in batches if isinstance(batch.labels, Tensor) and batch.labels.numel()]
    return min(int(low) for low, _ in ends), max(int(high) for _, high in ends)
