"""Which constants are parameters of a layer, and where a module keeps them."""

from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor, nn

from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes

_TRAINED: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "qdiag.Linear": (1, 2),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "qdiag.GroupNormalization": (1, 2),
    "RMSNormalization": (1,),
    "PRelu": (1,),
    "LSTM": (1, 2, 3, 7),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
}
"""Inputs of operators that are parameters, however small."""
_STATISTICS: Mapping[str, tuple[int, ...]] = {"BatchNormalization": (3, 4)}
_SETTINGS: Mapping[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Pad": (1, 2, 3),
    "STFT": (1, 2, 3),
    "Dropout": (1, 2),
    "OneHot": (1, 2),
    "Range": (0, 1, 2),
    "ConstantOfShape": (0,),
}
"""Inputs whose values decide what is computed."""


def find_parameters(graphs: Iterable[OnnxGraph]) -> dict[str, tuple[Array, bool]]:
    """Constants of float type that become parameters or buffers: by name, the values and whether they are trained.

    What a layer takes as its weight is a parameter; a constant of several numbers that meets data is a buffer. Single
    numbers, and what says how an operation works, stay plain numbers.
    """
    found: dict[str, tuple[Array, bool]] = {}
    for graph in graphs:
        for node in all_nodes(graph):
            for name, is_trained in _of_node(node):
                array = graph.constants.get(name)
                if array is None or not _is_float(array):
                    continue
                found[name] = (array, is_trained or found.get(name, (array, False))[1])
    constants = {name: array for graph in graphs for name, array in graph.constants.items()}
    return {name: found[name] for name in constants if name in found and _fits(found[name][0], found[name][1])}


def _of_node(node: OnnxNode) -> Iterable[tuple[str, bool]]:
    trained, statistics = _TRAINED.get(node.kind, ()), _STATISTICS.get(node.kind, ())
    for place, name in enumerate(node.inputs):
        if name and place not in _SETTINGS.get(node.kind, ()):
            yield name, place in trained
    del statistics


def _is_float(array: Array) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


def _fits(array: Array, is_trained: bool) -> bool:
    return is_trained or array.size > 1


def put_parameter(root: nn.Module, name: str, value: Tensor, *, is_trained: bool) -> str:
    """Registers a tensor in the tree of modules that its name spells; the path where it is.

    A part of a name that a module cannot have, such as one that is empty or names a method, gets a `_` behind it.
    """
    *folders, last = name.split(".")
    module, path = root, []
    for part in folders:
        part = part or "_"
        while not isinstance(getattr(module, part, None), nn.Module) and hasattr(module, part):
            part += "_"
        if not hasattr(module, part):
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
        path.append(part)
    last = last or "_"
    while hasattr(module, last):
        last += "_"
    if is_trained:
        module.register_parameter(last, nn.Parameter(value, requires_grad=False))
    else:
        module.register_buffer(last, value)
    return ".".join([*path, last])
