"""A file in its runtime, fed with the batches of the network that it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.program import Program
from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.runtimes.base import Array, DeployedNetwork, IntegerTensor


class DeployedRun:
    """Gives outputs as the captured graph has them, and the integers that are wanted.

    Inputs are matched by their names, or by their order where the names of the file are others; outputs see
    `paired_outputs`.

    Raises:
        DataError: the file takes or gives other tensors than the network.
    """

    def __init__(self, program: Program, deployed: DeployedNetwork, integers: Sequence[str]) -> None:
        self._program, self._deployed, self._integers = program, deployed, tuple(integers)
        self._outputs = paired_outputs(program.output_names, deployed)
        self._asked = tuple(dict.fromkeys((*self._integers, *self._outputs.dequantized.values())))

    def __call__(self, batch: Batch, reference: tuple[Any, ...]) -> tuple[tuple[Any, ...], Mapping[str, list[Array]]]:
        """Flat outputs in the order of the graph, and integers by their names in the file, of each run."""
        flat = self._program.flatten_inputs(batch.args, batch.kwargs)
        tensors = {name: value.cpu() for name, value in flat.items() if isinstance(value, Tensor)}
        names = _paired(tuple(tensors), self._deployed.inputs)
        inputs = {
            names[name]: (value.float() if value.is_floating_point() else value).contiguous().numpy()
            for name, value in tensors.items()
        }
        found = [self._deployed.run(part, self._asked) for part in self._parts(inputs)]
        outputs = {name: [part.outputs[name] for part in found] for name in self._deployed.outputs}
        integers = {name: [part.integers[name] for part in found] for name in self._asked}
        given = iter(self._program.output_names)
        ordered = [
            self._output(one, next(given), outputs, integers) if isinstance(one, Tensor) else one for one in reference
        ]
        return tuple(ordered), {name: integers[name] for name in self._integers}

    def _output(
        self, reference: Tensor, name: str, outputs: Mapping[str, list[Array]], integers: Mapping[str, list[Array]]
    ) -> Tensor:
        """An output of the network as the file has it."""
        stored = self._outputs.dequantized.get(name)
        if stored is None:
            own = self._outputs.given[name]
            return _like(reference, joined(outputs[own], reference.shape), own)
        values = [_values(part, self._deployed.tensors[stored]) for part in integers[stored]]
        return _like(reference, joined(values, reference.shape), stored)

    def _parts(self, inputs: Mapping[str, Array]) -> list[dict[str, Array]]:
        """The batch as a whole, or in parts of the one size that the file takes."""
        size, count = self._deployed.batch_size, max((len(value) for value in inputs.values() if value.ndim), default=1)
        if size is None or size == count:
            return [dict(inputs)]
        if count % size:
            raise DataError(
                f"the file takes {count_noun(size, 'sample')} at once, and a batch has {count}",
                hint="choose a batch size that fits",
            )
        return [
            {name: value[start : start + size] if value.ndim else value for name, value in inputs.items()}
            for start in range(0, count, size)
        ]


def joined(parts: Sequence[Array], shape: Sequence[int]) -> Array:
    """What several runs gave as one value, along the axis on which a value of this shape has their samples.

    That is the first where no axis fits: the file has other axes there.
    """
    own, size = parts[0].shape, len(parts)
    axes = [axis for axis in range(len(own)) if (*own[:axis], size * own[axis], *own[axis + 1 :]) == tuple(shape)]
    return np.concatenate(parts, axes[0] if axes else 0) if size > 1 else parts[0]


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


def _values(integers: Array, tensor: IntegerTensor) -> Array:
    """What integers of a file stand for, float32."""
    scale, zero_point = tensor.scale, tensor.zero_point
    if tensor.axis is not None and scale.ndim:
        shape = [1] * integers.ndim
        shape[tensor.axis] = -1
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    return (integers.astype(np.int64) - zero_point).astype(np.float32) * scale


@dataclass(frozen=True)
class PairedOutputs:
    """Where a file has each output of a network.

    Attributes:
        given: by output of the network, that of the file. dequantized: the tensor of integers that stands for it, where
            the file computes it and does not give it out.
    """

    given: Mapping[str, str]
    dequantized: Mapping[str, str]


def paired_outputs(ours: tuple[str, ...], deployed: DeployedNetwork) -> PairedOutputs:
    """By their names; by the names of what the file makes integers of, and of what it makes of these; else by order.

    A file may end elsewhere than the network that it was made from, for instance where one of the two has a
    non-maximum suppression.

    Raises:
        DataError: the file has no such tensor; says which.
    """
    theirs = deployed.outputs
    if set(ours) <= set(theirs):
        return PairedOutputs({name: name for name in ours}, {})
    integers = {one: tensor for tensor in deployed.tensors.values() for one in tensor.floats}
    given, dequantized = dict[str, str](), dict[str, str]()
    for name in ours:
        tensor = integers.get(name)
        own = [one for one in (name, *(tensor.floats if tensor is not None else ())) if one in theirs]
        if own:
            given[name] = own[0]
        elif tensor is not None:
            dequantized[name] = tensor.name
    missing = [name for name in ours if name not in given and name not in dequantized]
    if not missing:
        return PairedOutputs(given, dequantized)
    if len(ours) == len(theirs) and all(theirs[ours.index(name)] == own for name, own in given.items()):
        return PairedOutputs(dict(zip(ours, theirs, strict=True)), {})
    raise DataError(
        f"the network has the outputs {', '.join(ours)}, and the file {', '.join(theirs)}: it has no tensor for "
        f"{', '.join(missing)}",
        hint="give the network that the file was made from; where one of them ends earlier, before a non-maximum "
        "suppression for instance, cut the other one there: onnx.utils.extract_model",
    )


def _paired(ours: tuple[str, ...], theirs: tuple[str, ...]) -> dict[str, str]:
    """Inputs of the file, by those of the network."""
    if set(ours) <= set(theirs):
        return {name: name for name in ours}
    if len(ours) != len(theirs):
        raise DataError(
            f"the network has the inputs {', '.join(ours)}, and the file {', '.join(theirs)}",
            hint="give the network that the file was made from",
        )
    return dict(zip(ours, theirs, strict=True))
