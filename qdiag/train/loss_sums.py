"""What an epoch is judged by beside the figure of the task: the loss of both networks over all samples."""

from typing import Any

from qdiag.batches import Batch
from qdiag.train.losses import TrainingLoss


class LossSums:
    """Sums of the loss of both networks over all samples."""

    def __init__(self, loss: TrainingLoss) -> None:
        self._loss = loss
        self.reference = self.simulated = 0.0
        self.count = 0

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        self.reference += float(self._loss.of(reference, batch, reference)) * batch.sample_count
        self.simulated += float(self._loss.of(simulated, batch, reference)) * batch.sample_count
        self.count += batch.sample_count
