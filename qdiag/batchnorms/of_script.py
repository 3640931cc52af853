"""BatchNorms of a TorchScript module, from its inlined graph."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from qdiag.batchnorms.sites import GraphOp, LayerTensors, NormSites, NormTensors, pair_in_graph

_CONVOLUTIONS = ("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution", "aten::convolution")
_TRANSPOSED = ("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d")
_PASSES = ("aten::dropout", "aten::feature_dropout", "aten::contiguous", "aten::detach")


def norms_of_script(model: torch.jit.ScriptModule) -> NormSites:
    """The BatchNorms of a scripted or traced module, in graph order."""
    reader = _Reader(model)
    ops = [op for node in reader.nodes if (op := reader.op(node)) is not None]
    return NormSites("TorchScript", tuple(pair_in_graph(ops)))


class _Reader:
    """Looks up what the values of the graph are: paths of attributes, constants, tensors."""

    def __init__(self, model: torch.jit.ScriptModule) -> None:
        self._tensors: dict[str, Tensor] = {
            **dict(model.named_parameters(remove_duplicate=False)),
            **dict(model.named_buffers(remove_duplicate=False)),
        }
        self._is_training = model.training
        self.nodes: list[Any] = list(_nodes(model.inlined_graph))

    def op(self, node: Any) -> GraphOp | None:
        """The node as far as pairing cares; None when it makes no tensor."""
        outputs = list(node.outputs())
        if node.kind() == "prim::Return" or not any(_is_tensor(value) for value in outputs):
            return None if node.kind() != "prim::Return" else GraphOp("return", self._data(node))
        kind = node.kind()
        if kind == "prim::GetAttr":
            return None
        norm = self._norm(node) if kind == "aten::batch_norm" else None
        return GraphOp(outputs[0].debugName(), self._data(node), norm, self._layer(node), kind in _PASSES)

    def _data(self, node: Any) -> tuple[str, ...]:
        return tuple(value.debugName() for value in node.inputs() if _is_tensor(value) and self._path(value) is None)

    def _norm(self, node: Any) -> NormTensors:
        values = list(node.inputs())
        paths = [self._path(value) for value in values[1:5]]
        gamma, beta, mean, variance = (self._tensors.get(path) if path else None for path in paths)
        known = next((tensor for tensor in (variance, gamma) if tensor is not None), None)
        name = next((path.rpartition(".")[0] for path in paths if path), str(values[0].debugName()))
        is_training = values[5].toIValue()  # a constant in traces, an attribute of the module in scripts
        return NormTensors(
            name=name,
            channels=0 if known is None else len(known),
            eps=float(values[7].toIValue()),
            gamma=gamma,
            beta=beta,
            mean=mean,
            variance=variance,
            is_training=self._is_training if is_training is None else bool(is_training) and variance is not None,
        )

    def _layer(self, node: Any) -> LayerTensors | None:
        kind, values = node.kind(), list(node.inputs())
        if kind not in (*_CONVOLUTIONS, *_TRANSPOSED, "aten::linear"):
            return None
        path = self._path(values[1])
        weight = self._tensors.get(path) if path else None
        if path is None or weight is None:
            return None
        name = path.rpartition(".")[0]
        if kind == "aten::linear":
            return LayerTensors(name, "linear", path, weight)
        has_switch = "onvolution" in kind  # (x, w, b, stride, padding, dilation, transposed, output_padding, groups)
        groups = values[8 if has_switch else 6].toIValue()
        groups = groups if isinstance(groups, int) else 1
        if kind in _TRANSPOSED or (has_switch and values[6].toIValue()):
            return LayerTensors(name, "conv_transpose", path, weight, groups, 1)
        is_depthwise = groups > 1 and weight.shape[1] == 1
        return LayerTensors(
            name, "depthwise_conv" if is_depthwise else "conv", path, weight, groups, 0, _is_padded(values[4])
        )

    def _path(self, value: Any) -> str | None:
        """`layer1.0.conv1.weight` for an attribute of a module, through the choices that scripts make; else None."""
        node = value.node()
        if node.kind() == "prim::If":  # `self.running_mean if not self.training or ... else None`
            index = [output.debugName() for output in node.outputs()].index(value.debugName())
            branches = [self._path(list(block.outputs())[index]) for block in node.blocks()]
            return next((path for path in branches if path), None)
        parts: list[str] = []
        while node.kind() == "prim::GetAttr":
            parts.append(node.s("name"))
            node = next(iter(node.inputs())).node()
        path = ".".join(reversed(parts))
        return path if path in self._tensors else None


def _nodes(block: Any) -> Iterator[Any]:
    """All nodes in the order in which they run, those of inner blocks included, and the returns."""
    for node in block.nodes():
        for inner in node.blocks():
            yield from _nodes(inner)
        yield node
    yield block.return_node() if hasattr(block, "return_node") else block.returnNode()


def _is_tensor(value: Any) -> bool:
    kind = value.type()
    if kind.kind() == "OptionalType":
        kind = kind.getElementType()
    return str(kind.kind()) == "TensorType"


def _is_padded(value: Any) -> bool:
    padding: object = value.toIValue()
    if padding is None:  # a list that the graph puts together
        padding = [item.toIValue() for item in value.node().inputs()]
    if isinstance(padding, str):
        return padding != "valid"
    return isinstance(padding, list | tuple) and any(item != 0 for item in padding)
