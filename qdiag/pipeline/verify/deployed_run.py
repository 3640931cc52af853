"""A file in its runtime, fed with the batches of the network that it was made from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.program import Program
from qdiag.errors import DataError
from qdiag.runtimes.base import Array, DeployedNetwork


class DeployedRun:
    """Gives outputs as the captured graph has them, and the integers that are wanted.

    Inputs and outputs are matched by their names, or by their order where the names of the file are others.

    Raises:
        DataError: the file takes or gives another number of tensors than the network.
    """

    def __init__(self, program: Program, deployed: DeployedNetwork, integers: Sequence[str]) -> None:
        self._program, self._deployed, self._integers = program, deployed, tuple(integers)
        self._outputs = _paired(program.output_names, deployed.outputs, "outputs")

    def __call__(self, batch: Batch, reference: tuple[Any, ...]) -> tuple[tuple[Any, ...], Mapping[str, Array]]:
        """Flat outputs in the order of the graph, and integers by their names in the file."""
        flat = self._program.flatten_inputs(batch.args, batch.kwargs)
        tensors = {name: value.cpu() for name, value in flat.items() if isinstance(value, Tensor)}
        names = _paired(tuple(tensors), self._deployed.inputs, "inputs")
        inputs = {
            names[name]: (value.float() if value.is_floating_point() else value).contiguous().numpy()
            for name, value in tensors.items()
        }
        found = [self._deployed.run(part, self._integers) for part in self._parts(inputs)]
        outputs = {name: np.concatenate([part.outputs[name] for part in found]) for name in self._deployed.outputs}
        integers = {name: np.concatenate([part.integers[name] for part in found]) for name in self._integers}
        given = iter(self._program.output_names)
        ordered = []
        for one in reference:
            name = self._outputs[next(given)] if isinstance(one, Tensor) else ""
            ordered.append(_like(one, outputs[name], name) if isinstance(one, Tensor) else one)
        return tuple(ordered), integers

    def _parts(self, inputs: Mapping[str, Array]) -> list[dict[str, Array]]:
        """The batch as a whole, or in parts of the one size that the file takes."""
        size, count = self._deployed.batch_size, max((len(value) for value in inputs.values() if value.ndim), default=1)
        if size is None or size == count:
            return [dict(inputs)]
        if count % size:
            raise DataError(
                f"the file takes {size} samples at once, and a batch has {count}", hint="choose a batch size that fits"
            )
        return [
            {name: value[start : start + size] if value.ndim else value for name, value in inputs.items()}
            for start in range(0, count, size)
        ]


def _like(reference: Tensor, output: Array, name: str) -> Tensor:
    """An output of the file in the shape and type of the network's.

    Raises:
        DataError: it has another number of values.
    """
    if output.size != reference.numel():
        raise DataError(
            f"the output {name} of the file has the shape {output.shape}, that of the network {tuple(reference.shape)}",
            hint="the file was made from another network; give the one that it was made from",
        )
    return torch.from_numpy(np.ascontiguousarray(output)).reshape(reference.shape).to(reference.dtype)


def _paired(ours: tuple[str, ...], theirs: tuple[str, ...], what: str) -> dict[str, str]:
    if set(ours) <= set(theirs):
        return {name: name for name in ours}
    if len(ours) != len(theirs):
        raise DataError(
            f"the network has the {what} {', '.join(ours)}, and the file {', '.join(theirs)}",
            hint="give the network that the file was made from",
        )
    return dict(zip(ours, theirs, strict=True))
