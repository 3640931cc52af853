"""The network as the user has it, from the same state at every call."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, not_accepted
from qdiag.capture.state import NetworkState, own_randomness
from qdiag.errors import QdiagError
from qdiag.pipeline.preparation.signature import one_input_shape


class Original:
    """Runs the network on copies of the inputs; its state and the random generators are put back after each call.

    Args:
        model: in eval mode.
    """

    def __init__(self, model: nn.Module | ExportedProgram) -> None:
        self._takes = one_input_shape(model) if isinstance(model, ExportedProgram) else ()
        self._module: nn.Module = model.module() if isinstance(model, ExportedProgram) else model
        self._state = NetworkState(self._module)
        self.trained: tuple[str, ...] = ()
        """Classes of modules that a call put into training mode."""

    def __call__(self, batch: Batch, *, seed: int = 0) -> tuple[Tensor, ...]:
        """Flat tensor outputs for one batch.

        Args:
            seed: where the random generators begin.

        Raises:
            DataError: the network does not accept the batch.
        """
        try:
            return self._run(batch, seed)
        finally:
            self.trained = tuple(dict.fromkeys((*self.trained, *self._state.switched_to_training())))
            self._state.restore()

    def after_itself(self, batch: Batch) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
        """The outputs of a second call right after a first one, and what the first one left changed."""
        try:
            self._run(batch, 0)
            changed = self._state.changed()
            return self._run(batch, 0), changed
        finally:
            self._state.restore()

    def _run(self, batch: Batch, seed: int) -> tuple[Tensor, ...]:
        batch = own_copy(batch)
        try:
            with own_randomness(seed), torch.no_grad():
                outputs = self._module(*batch.args, **batch.kwargs)
        except QdiagError:
            raise
        except Exception as error:
            raise not_accepted(batch, error, self._takes) from error
        # copied: an output may be a buffer that is put back, or a view of one
        return tuple(leaf.detach().clone() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))


def own_copy(batch: Batch) -> Batch:
    """The batch with tensors of its own, for networks that write to their inputs."""

    def copied(leaf: Any) -> Any:
        return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf

    return Batch(pytree.tree_map(copied, batch.args), pytree.tree_map(copied, dict(batch.kwargs)), batch.labels)
