"""Where the fake quantizers of a network stand in its graph.

While the graph is captured each is an operation that names its scale; then it is taken out again, and the node beside
it remembers its module path. The operations of torch itself will not do: export knows no shapes for some of them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn
from torch.ao.quantization import FakeQuantizeBase
from torch.export import ExportedProgram

from qdiag.capture.fake_quantizers.silence import Forward, fake_quantizers, replaced
from qdiag.capture.ops import has_weight, kind_and_policy

OUTPUT_MARK = "fake_quantizer_of_output"
"""Of a node: module path of the fake quantizer that reads its value."""
WEIGHT_MARK = "fake_quantizer_of_weight"
"""Of a layer's node: module path of the fake quantizer of its weight."""
_SCALE = ".scale"


@torch.library.custom_op("qdiag::fake_quantizer", mutates_args=())
def fake_quantizer(x: Tensor, scale: Tensor) -> Tensor:
    """Stands for a fake quantizer in a captured graph; gives a copy of x."""
    del scale
    return x.clone()


def _same_shape(x: Tensor, scale: Tensor) -> Tensor:
    del scale
    return torch.empty_like(x)


fake_quantizer.register_fake(_same_shape)


@contextmanager
def showing(model: nn.Module | ExportedProgram) -> Iterator[bool]:
    """Inside, fake quantizers leave an operation in a captured graph, whether they are switched on or not.

    Yields:
        Whether there is any.
    """
    found: dict[nn.Module, Forward] = {m: _shown(m) for m in fake_quantizers(model).values() if _has_scale(m)}
    with replaced("forward", found):
        yield bool(found)


def take_out(graph: fx.Graph, names: Mapping[str, str]) -> None:
    """Takes the operations of `showing` out of a graph, in place, and marks where they stood.

    Args:
        names: placeholder to the name in the original model.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not torch.ops.qdiag.fake_quantizer.default:
            continue
        source, scale = node.args[:2]
        path = names.get(str(scale.target), "") if isinstance(scale, fx.Node) else ""
        if not isinstance(source, fx.Node) or not path.endswith(_SCALE):
            continue
        path = path.removesuffix(_SCALE)
        readers = [user for user in node.users if reads_as_weight(user, node)]
        for reader in readers:
            reader.meta[WEIGHT_MARK] = path
        if not readers:
            source.meta[OUTPUT_MARK] = path
        node.replace_all_uses_with(source)
        graph.erase_node(node)


def hand_on_output(old: fx.Node, new: fx.Node) -> None:
    """A node gives from now on what another one gave: it has its fake quantizer, and no longer one of its own."""
    new.meta.pop(OUTPUT_MARK, None)
    if OUTPUT_MARK in old.meta:
        new.meta[OUTPUT_MARK] = old.meta[OUTPUT_MARK]


def reads_as_weight(user: fx.Node, node: fx.Node) -> bool:
    """The user is a layer, and the node its weight."""
    is_layer = user.op == "call_function" and has_weight(kind_and_policy(user)[0])
    return is_layer and len(user.args) > 1 and user.args[1] is node


def _has_scale(module: FakeQuantizeBase) -> bool:
    return isinstance(getattr(module, "scale", None), Tensor)


def _shown(module: FakeQuantizeBase) -> Forward:
    def forward(x: Tensor) -> Tensor:
        found: Tensor = fake_quantizer(x, module.scale)
        return found

    return forward
