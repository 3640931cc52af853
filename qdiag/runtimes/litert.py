"""LiteRT on the CPU: its reference kernels, its own, or those of the XNNPACK delegate."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from qdiag.core.measures.deployed.operations import FloatOperation, RuntimeOperations
from qdiag.errors import DataError, LoadError, first_line
from qdiag.litert.ends import without_end
from qdiag.litert.model import LiteGraph, LiteTensor, dequantized
from qdiag.litert.read import INSTALL_HINT, parse
from qdiag.litert.rewrite import image_places
from qdiag.litert.serialize import with_outputs
from qdiag.litert.writer import TO_FIRST, TO_LAST
from qdiag.runtimes.base import Array, IntegerTensor, RuntimeResult

Kernels = Literal["tflite-ref", "tflite", "xnnpack"]
_NAMES: Mapping[Kernels, str] = {
    "tflite-ref": "reference kernels",
    "tflite": "without delegates",
    "xnnpack": "with XNNPACK",
}
_MOVING = (
    *("RESHAPE", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "SQUEEZE"),
    *("EXPAND_DIMS", "PACK", "UNPACK", "GATHER", "TILE", "BROADCAST_TO", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR"),
)
"""Operators that compute nothing, whatever type they move."""
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class LitertRuntime:
    """A file in LiteRT, see `DeployedNetwork`; images come and go with their channels first.

    Of a detector the part is run that is measured, up to its non-maximum suppression.

    Attributes:
        kernels: that compute it.
    """

    content: bytes
    at: str = ""
    kernels: Kernels = "xnnpack"

    @property
    def runtime(self) -> str:
        """Name and version."""
        return f"LiteRT {version('ai-edge-litert')}, {_NAMES[self.kernels]}"

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._graph.tensors[place].name for place in self._graph.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self._graph.tensors[place].name for place in self._graph.outputs)

    @property
    def batch_size(self) -> int | None:
        """That of the file, which is 1 as a rule."""
        shapes = [self._graph.tensors[place].shape for place in self._graph.inputs]
        return shapes[0][0] if shapes and shapes[0] else None

    @cached_property
    def tensors(self) -> Mapping[str, IntegerTensor]:
        """Tensors with scales that are no weights."""
        found = {tensor.name: _integer_tensor(tensor) for tensor in self._graph.tensors if _is_integer(tensor)}
        for operator in self._graph.operators:
            if operator.kind == "QUANTIZE":
                source, made = (self._graph.tensors[places[0]] for places in (operator.inputs, operator.outputs))
                if made.name in found and source.dtype.kind == "f":
                    found[made.name] = replace(found[made.name], floats=(source.name,))
        return found

    def run(self, inputs: Mapping[str, Array], integers: Sequence[str] = ()) -> RuntimeResult:
        """See `DeployedNetwork`."""
        wanted = tuple(integers)
        places = {tensor.name: place for place, tensor in enumerate(self._graph.tensors)}
        missing = [name for name in wanted if name not in self.tensors]
        if missing:
            raise DataError(f"the file holds no activation of integers under the name {missing[0]!r}", at=self.at)
        shown = tuple(dict.fromkeys((*self._graph.outputs, *(places[n] for n in wanted))))
        shown = tuple(place for place in shown if place not in self._graph.inputs)
        if shown not in self._opened:
            self._opened.clear()
            self._opened[shown] = self._open(with_outputs(self._content, shown))
        given = self._given(inputs)
        values = dict(zip(shown, self._computed(self._opened[shown], given), strict=True)) | given
        outputs = {self._graph.tensors[place].name: self._float(place, values[place]) for place in self._graph.outputs}
        found = {name: self._turned(places[name], values[places[name]]) for name in wanted}
        # an input that was given with its channels last comes back so
        last = [name for name in wanted if places[name] in given and not self._is_first(places[name], inputs[name])]
        return RuntimeResult(outputs, found | {name: values[places[name]] for name in last})

    def operations(self) -> RuntimeOperations:
        """Of the file: LiteRT computes each operator as it stands."""
        self._open(self._content)
        integer, moving = Counter[str](), Counter[str]()
        floating: list[FloatOperation] = []
        for operator in self._graph.operators:
            tensor = self._graph.tensors[operator.outputs[0]] if operator.outputs else None
            if tensor is None or operator.kind in _BETWEEN:
                continue
            if operator.kind in _MOVING:
                moving[operator.kind] += 1
            elif tensor.quantization is not None:
                integer[operator.kind] += 1
            elif tensor.dtype.kind == "f":
                floating.append(FloatOperation(operator.kind, tensor.name))
        return RuntimeOperations(self.runtime, dict(integer), dict(moving), tuple(floating))

    def _given(self, inputs: Mapping[str, Array]) -> dict[int, Array]:
        """Inputs as the file takes them: quantized where it does, by a division and to the nearest, halves to even."""
        found = {}
        for place in self._graph.inputs:
            tensor = self._graph.tensors[place]
            if tensor.name not in inputs:
                raise DataError(f"nothing is given for the input {tensor.name}", at=self.at)
            value = np.asarray(inputs[tensor.name])
            if place in self._images and self._is_first(place, value):
                value = value.transpose(TO_LAST)
            if value.shape != tensor.shape:
                raise DataError(f"the file takes {tensor.name} of shape {tensor.shape}, not {value.shape}", at=self.at)
            if tensor.quantization is not None and value.dtype.kind == "f":
                limits = np.iinfo(tensor.dtype)
                steps = np.rint(value.astype(np.float32) / tensor.quantization.scales[0])
                value = np.clip(steps + tensor.quantization.zero_points[0], limits.min, limits.max)
            found[place] = np.ascontiguousarray(value.astype(tensor.dtype))
        return found

    def _is_first(self, place: int, value: Array) -> bool:
        """An image has its channels first, also where both orders fit."""
        shape = self._graph.tensors[place].shape
        is_image = place in self._images and len(shape) == 4
        return is_image and np.shape(value)[1:] == tuple(shape[axis] for axis in TO_FIRST[1:])

    def _computed(self, made: Any, given: Mapping[int, Array]) -> list[Array]:
        try:
            for described, value in zip(made.get_input_details(), given.values(), strict=True):
                made.set_tensor(described["index"], value)
            made.invoke()
            return [made.get_tensor(described["index"]) for described in made.get_output_details()]
        except (RuntimeError, ValueError) as error:
            raise DataError(f"LiteRT refuses the batch: {first_line(error)}", at=self.at) from error

    def _float(self, place: int, value: Array) -> Array:
        """What integers stand for, in the order of the network."""
        quantization = self._graph.tensors[place].quantization
        is_integer = quantization is not None and value.dtype.kind in "iu"
        return self._turned(place, dequantized(value, quantization) if is_integer and quantization else value)

    def _turned(self, place: int, value: Array) -> Array:
        return value.transpose(TO_FIRST) if place in self._images and value.ndim == 4 else value

    def _open(self, content: bytes) -> Any:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise LoadError("running the file needs the package ai-edge-litert", hint=INSTALL_HINT) from error
        resolvers = {
            "tflite-ref": OpResolverType.BUILTIN_REF,
            "tflite": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "xnnpack": OpResolverType.AUTO,
        }
        try:
            with _silence():
                made = Interpreter(
                    model_content=content, experimental_op_resolver_type=resolvers[self.kernels], num_threads=1
                )
                made.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise LoadError(f"LiteRT does not take the file: {first_line(error)}", at=self.at) from error
        return made

    @cached_property
    def _opened(self) -> dict[tuple[int, ...], Any]:
        return {}

    @cached_property
    def _whole(self) -> LiteGraph:
        return parse(self.content, self.at)

    @cached_property
    def _graph(self) -> LiteGraph:
        """The part of the file that is measured: a detector up to its non-maximum suppression."""
        return without_end(self._whole)[0]

    @cached_property
    def _content(self) -> bytes:
        if self._graph is self._whole:
            return self.content
        kept = [
            place for place, one in enumerate(self._whole.operators) if any(one is o for o in self._graph.operators)
        ]
        return with_outputs(self.content, self._graph.outputs, kept)

    @cached_property
    def _images(self) -> frozenset[int]:
        return image_places(self._graph)


def _is_integer(tensor: LiteTensor) -> bool:
    return tensor.data is None and tensor.quantization is not None and tensor.dtype.kind in "iu"


def _integer_tensor(tensor: LiteTensor) -> IntegerTensor:
    assert tensor.quantization is not None
    scales, zeros = tensor.quantization.scales, tensor.quantization.zero_points
    if scales.size == 1:
        return IntegerTensor(tensor.name, tensor.dtype, scales.reshape(()), zeros.reshape(()))
    return IntegerTensor(tensor.name, tensor.dtype, scales, zeros, tensor.quantization.axis)


@contextmanager
def _silence() -> Iterator[None]:
    """The runtime writes to the standard error itself when it makes a delegate."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
