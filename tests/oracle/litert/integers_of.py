"""Every integer of a network: under a plan, and in the file of that plan in LiteRT."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.core.scheme import RuntimeName
from qdiag.exporters.litert.number_types import as_affine, kind_of
from qdiag.exporters.litert.write import LiteFile
from qdiag.litert.model import LiteGraph
from qdiag.litert.read import parse
from qdiag.litert.rewrite import image_places
from qdiag.litert.serialize import serialized
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.lanes import Lane, Lanes
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.runner import LaneRunner

Array = npt.NDArray[Any]
RESOLVERS: dict[RuntimeName, OpResolverType] = {
    "tflite-ref": OpResolverType.BUILTIN_REF,
    "tflite": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.AUTO,
}


class _Integers(LayerObserver):
    def __init__(self, plan: QuantPlan) -> None:
        self._plan = plan
        self.found: dict[str, Array] = {}

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        quantizer = self._plan.layers[layer.name].output
        if quantizer is not None:
            affine = as_affine(quantizer, layer.name, kind_of(self._plan))
            steps = torch.round(lanes.tensors[-1].double() / affine.scale.double()) + affine.zero_point.double()
            self.found[layer.name] = steps.to(torch.int64).numpy()


def simulated(network: Network, plan: QuantPlan, x: Tensor, arithmetic: RuntimeName) -> dict[str, Array]:
    """By layer, integers of the quantized network as the file has them, channels first."""
    plan = replace(plan, scheme=replace(plan.scheme, arithmetic=arithmetic))
    seen = _Integers(plan)
    LaneRunner([Lane(network), Lane(network, plan)], [seen]).run_batch(network.placed(Batch((x,))))
    return seen.found


class Exposed:
    """A file every integer of which is an output."""

    def __init__(self, file: LiteFile, arithmetic: RuntimeName) -> None:
        graph = parse(file.content, "net.tflite")
        places = {tensor.name: place for place, tensor in enumerate(graph.tensors)}
        self._wanted = {layer: places[name] for layer, name in file.integers.items()}
        self._inputs = graph.inputs
        self._tensors = graph.tensors
        self._images = image_places(graph)
        shown = tuple(place for place in self._wanted.values() if place not in graph.inputs)
        more = LiteGraph(graph.tensors, graph.operators, graph.inputs, tuple(dict.fromkeys((*graph.outputs, *shown))))
        self._outputs = more.outputs
        self._made = Interpreter(
            model_content=serialized(more), experimental_op_resolver_type=RESOLVERS[arithmetic], num_threads=1
        )
        self._made.allocate_tensors()

    def run(self, x: Tensor) -> dict[str, Array]:
        """By layer, channels first."""
        found: dict[str, list[Array]] = {}
        for sample in x:
            quantization = self._tensors[self._inputs[0]].quantization
            assert quantization is not None
            image = sample.movedim(0, -1)[None].numpy() if sample.ndim == 3 else sample[None].numpy()
            steps = np.rint(image / quantization.scales[0]) + quantization.zero_points[0]
            dtype = self._tensors[self._inputs[0]].dtype
            integers = np.clip(steps, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
            self._made.set_tensor(self._made.get_input_details()[0]["index"], integers)
            self._made.invoke()
            values = [self._made.get_tensor(d["index"]) for d in self._made.get_output_details()]
            by_place = dict(zip(self._outputs, values, strict=True)) | {self._inputs[0]: integers}
            for layer, place in self._wanted.items():
                value = by_place[place].astype(np.int64)
                is_image = value.ndim == 4 and place in self._images
                found.setdefault(layer, []).append(value.transpose(0, 3, 1, 2) if is_image else value)
        return {layer: np.concatenate(values) for layer, values in found.items()}


def differing(network: Network, plan: QuantPlan, file: LiteFile, x: Tensor, arithmetic: RuntimeName) -> dict[str, int]:
    """By layer, how many integers differ; each side runs freely from the same images."""
    ours, theirs = simulated(network, plan, x, arithmetic), Exposed(file, arithmetic).run(x)
    assert set(ours) == set(theirs)
    return {name: int((ours[name] != theirs[name].reshape(ours[name].shape)).sum()) for name in ours}
