"""The use cases of the engine: from a model and data to one frozen result."""

from qdiag.batches import Datasets
from qdiag.core.measurement import Measurement
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.subject import Subject


def measure_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    *,
    device: str = "cpu",
    metric: object | None = None,
    with_losses: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Captures, folds, calibrates and simulates (placeholder signature while the engine is being built)."""
    del subject, datasets, scheme, device, metric, with_losses, seed
    progress = progress or NoProgress()
    raise NotImplementedError
