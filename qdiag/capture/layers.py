"""Groups the nodes of a program into layers, the way integer backends fuse them."""

from collections import Counter
from collections.abc import Set

import torch
from torch import Tensor, fx

from qdiag.capture.channels import channels_last_of
from qdiag.capture.low_bit import weight_format
from qdiag.capture.naming import module_path, output_name, readable_name
from qdiag.capture.ops import (
    SQUARED_DIFFERENCE,
    clamp_bounds,
    convolution_groups,
    has_weight,
    is_tensor,
    is_two_level,
    kind_and_policy,
    operation_name,
    sign_magnitude,
    weight_axis,
)
from qdiag.capture.places import source_of
from qdiag.capture.program import Program
from qdiag.core.graph import CONSTANT, INPUT, OUTPUT, Layer, OpGraph

FUSES_CLAMP = frozenset({"conv", "conv_transpose", "linear", "matmul", "norm", "add", "sub", "rsub", "mul", "div"})
"""Kinds whose following ReLU, ReLU6 or other clamp shares their quantizer (arXiv 1712.05877, section 2.4)."""


def group_layers(program: Program, *, fuses_clamps: bool = True) -> OpGraph:
    """The layers of a program, in graph order; without `fuses_clamps`, every clamp is a layer of its own."""
    return _Grouper(program, FUSES_CLAMP if fuses_clamps else frozenset()).run()


class _Grouper:
    def __init__(self, program: Program, fuses_clamp: Set[str]) -> None:
        self._program = program
        self._fuses_clamp = fuses_clamp
        self._nodes = list(program.graph.nodes)
        self._sources: dict[str, tuple[str, ...]] = {}
        self._taken: set[fx.Node] = set()
        self._names: Counter[str] = Counter()
        self._layers: list[Layer] = []
        self._constants: list[Layer] = []
        self._channels_last = channels_last_of(self._nodes)
        self._data = _data_nodes(program, self._nodes)
        self._operands = _constant_operands(program, self._nodes, self._data)

    def run(self) -> OpGraph:
        for node in self._nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "call_function" and node not in self._taken and self._carries(node):
                self._operation(node)
        return OpGraph(tuple(self._layers), dict(self._sources), tuple(self._constants))

    def _carries(self, node: fx.Node) -> bool:
        return node in self._data or any(i.name in self._sources for i in node.all_input_nodes)

    def _placeholder(self, node: fx.Node) -> None:
        if node in self._data:
            name, is_last = self._unique(f"{INPUT}:{node.target}"), self._channels_last.get(node)
            self._add(Layer(name, INPUT, "own", "", (), (node.name,), is_channels_last=is_last))
        elif node in self._operands:
            name = self._program.parameter_names.get(str(node.target), str(node.target))
            constant = Layer(self._unique(name), CONSTANT, "own", name.rpartition(".")[0], (), (node.name,))
            self._constants.append(constant)
            self._sources[node.name] = (constant.name,)

    def _operation(self, node: fx.Node) -> None:
        if not _is_float(node):
            return
        kind, policy = kind_and_policy(node)
        arriving = [i for i in _operands(node) if i.name in self._sources and not _is_parameter(node, i)]
        if policy == "pass" and not arriving:
            # integers become numbers here: by a conversion, or by a look-up in a table
            kind, policy = operation_name(node), "own"
        if policy == "pass":
            self._sources[node.name] = tuple(dict.fromkeys(s for i in arriving for s in self._sources[i.name]))
            return
        nodes, clamp = [node], None
        outputs = _read_outputs(node)
        if outputs:
            nodes.append(outputs[0])
        elif kind == "clamp":
            clamp = clamp_bounds(node)
        elif kind in self._fuses_clamp:
            follower = _only_user(node)
            bounds = clamp_bounds(follower) if follower is not None else None
            if follower is not None and bounds is not None:
                nodes, clamp = [node, follower], bounds
        self._taken.update(nodes, outputs)
        layer = self._layer(node, kind, policy, nodes, clamp, arriving)
        self._add(layer)
        for output in outputs[1:]:
            self._further(layer, node, output)

    def _further(self, layer: Layer, node: fx.Node, output: fx.Node) -> None:
        """A further output of an operation: a layer of its own, that does nothing but hold its quantizer."""
        name = output_name(layer.name, operation_name(node), int(str(output.args[1])))
        self._add(
            Layer(
                name=self._unique(name),
                kind=OUTPUT,
                policy=layer.policy,
                module_path=layer.module_path,
                ops=layer.ops,
                nodes=(output.name,),
                inputs=(layer.name,),
                is_channels_last=self._channels_last.get(output),
            )
        )

    def _layer(
        self,
        node: fx.Node,
        kind: str,
        policy: str,
        nodes: list[fx.Node],
        clamp: tuple[float, float] | None,
        arriving: list[fx.Node],
    ) -> Layer:
        weight = bias = None
        if has_weight(kind):
            weight, bias = _constant_argument(self._program, node, 1), _constant_argument(self._program, node, 2)
        weight_name = self._program.parameter_names.get(weight) if weight else None
        folded = ("batch_norm",) * len(node.meta.get("folded_batchnorms", ()))
        shape = self._program.constants[weight].shape if weight else ()
        groups = convolution_groups(node)
        return Layer(
            name=self._unique(readable_name(node, kind, weight_name)),
            kind=kind,
            policy=policy,
            module_path=module_path(node, weight_name),
            ops=(shown_operation(node), *folded, *(shown_operation(n) for n in nodes[1:] if not _is_selection(n))),
            nodes=tuple(n.name for n in nodes),
            inputs=tuple(dict.fromkeys(s for i in arriving for s in self._sources[i.name])),
            reads=tuple((i.name, self._sources[i.name]) for i in arriving),
            weight=weight,
            weight_name=weight_name,
            weight_axis=weight_axis(kind),
            groups=groups,
            bias=bias,
            clamp=clamp,
            weight_format=weight_format(self._program.constants, node) if weight else None,
            sign_magnitude=sign_magnitude(node) if kind == "sign" else None,
            is_depthwise=kind == "conv" and groups > 1 and len(shape) > 2 and shape[1] == 1,
            is_channels_last=self._channels_last.get(node),
            source=source_of(node),
        )

    def _add(self, layer: Layer) -> None:
        self._layers.append(layer)
        for node in layer.nodes:
            self._sources[node] = (layer.name,)

    def _unique(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}#{self._names[name]}"


def _data_nodes(program: Program, nodes: list[fx.Node]) -> set[fx.Node]:
    """Tensors that depend on the network's inputs, integer inputs themselves aside; their sizes do not count."""
    dependent: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder":
            if node.target in program.inputs and is_tensor(node):
                dependent.add(node)
        elif node.op == "call_function" and is_tensor(node) and any(i in dependent for i in node.all_input_nodes):
            dependent.add(node)
    return {node for node in dependent if node.op != "placeholder" or _is_float(node)}


def _operands(node: fx.Node) -> list[fx.Node]:
    """What an operation computes with; behind the condition of a sign, the numbers that are compared."""
    pending, found = list(node.all_input_nodes), dict[fx.Node, None]()
    while is_two_level(node) and pending:
        at = pending.pop()
        if at.op == "call_function" and not _is_float(at):
            pending += at.all_input_nodes
        else:
            found[at] = None
    return list(found) or pending


def _read_outputs(node: fx.Node) -> list[fx.Node]:
    """Of several results the float ones that anything reads, in their order; empty for a single result."""
    found = [u for u in node.users if _is_selection(u) and u.args[0] is node and u.users and _is_float(u)]
    return sorted(found, key=lambda user: int(str(user.args[1])))


def _is_selection(node: fx.Node) -> bool:
    """Takes one of several results."""
    return operation_name(node) == "getitem"


def _constant_operands(program: Program, nodes: list[fx.Node], data: set[fx.Node]) -> set[fx.Node]:
    """Float constants that meet data as operands (position embeddings, class tokens, scales), not as parameters."""
    roots: dict[fx.Node, set[fx.Node]] = {}
    sites: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" and node.target in program.constants:
            roots[node] = {node} if _is_float(node, program.constants[str(node.target)]) else set()
        elif node.op == "call_function" and node not in data:
            roots[node] = {root for i in node.all_input_nodes for root in roots.get(i, ())}
        elif node.op == "call_function" and kind_and_policy(node)[1] in ("compute", "own", "shared"):
            operands = [i for i in node.all_input_nodes if not _is_parameter(node, i)]
            sites.update(root for i in operands if i not in data and _is_float(i) for root in roots.get(i, ()))
    return sites


def _is_parameter(node: fx.Node, argument: fx.Node) -> bool:
    """The argument stands where this operation takes weight, bias, or the parameters of a norm."""
    kind = kind_and_policy(node)[0]
    if has_weight(kind):
        others = [*node.args[:1], *node.args[3:]]
        return argument.op == "placeholder" and argument in node.args[1:3] and argument not in others
    if kind == "norm" or operation_name(node) in ("prelu", "_prelu_kernel"):
        return argument is not node.args[0]
    return False


def _is_float(node: fx.Node, constant: Tensor | None = None) -> bool:
    value = constant if constant is not None else node.meta.get("val")
    if isinstance(value, list | tuple):
        return any(isinstance(v, Tensor) and v.is_floating_point() for v in value)
    return value is None or (isinstance(value, Tensor) and value.is_floating_point())


def shown_operation(node: fx.Node) -> str:
    """The operation's name; clamps by what they are called after their bounds."""
    match clamp_bounds(node):
        case (0.0, torch.inf):
            return "relu"
        case (0.0, 6.0):
            return "relu6"
    kind = kind_and_policy(node)[0]
    return kind if kind == SQUARED_DIFFERENCE or is_two_level(node) else operation_name(node)


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].op == "call_function" else None


def _constant_argument(program: Program, node: fx.Node, index: int) -> str | None:
    value = node.args[index] if index < len(node.args) else node.kwargs.get("bias" if index == 2 else "weight")
    return str(value.target) if isinstance(value, fx.Node) and value.target in program.constants else None
