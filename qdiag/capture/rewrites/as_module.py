"""A program as a module again, so that it can be exported and saved."""

from typing import Any

from torch import fx, nn
from torch.utils import _pytree as pytree

from qdiag.capture.program import Program
from qdiag.errors import CaptureError


def module_of(program: Program) -> nn.Module:
    """A module that computes what the program does, its parameters under their original names; in eval mode.

    Its output is a tensor, a dictionary by the names of the outputs, or a tuple where these are no names.

    Raises:
        CaptureError: the network takes nested arguments.
    """
    names = _argument_names(program)
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    root, taken = nn.Module(), dict[str, str]()
    for node in program.graph.nodes:  # arguments come first, in the order in which they are given
        if node.op == "placeholder" and node.target in program.inputs:
            copies[node] = graph.placeholder(names[str(node.target)])
            copies[node].meta = dict(node.meta)
    for node in program.graph.nodes:
        if node in copies:
            continue
        if node.op == "placeholder":
            if node.users:
                copies[node] = graph.get_attr(_stored(root, program, str(node.target), taken))
        elif node.op == "output":
            graph.output(_output(program, [copies[value] for value in node.args[0]]))
        else:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    return fx.GraphModule(root, graph).eval()


def _argument_names(program: Program) -> dict[str, str]:
    """Placeholder of each input to the name of the argument."""
    leaves = pytree.tree_unflatten(list(program.inputs), program.in_spec)
    args, kwargs = leaves
    if any(not isinstance(leaf, str) for leaf in (*args, *kwargs.values())):
        raise CaptureError("its arguments are nested, and a program of tensors is what is written")
    return {**{name: name for name in args}, **{name: key for key, name in kwargs.items()}}


def _stored(root: nn.Module, program: Program, placeholder: str, taken: dict[str, str]) -> str:
    """Where the constant lies in `root`, under its original name where that is free."""
    value = program.constants[placeholder]
    name = program.parameter_names.get(placeholder, placeholder)
    if taken.setdefault(name, placeholder) != placeholder:
        name = placeholder
    *path, last = name.split(".")
    at = root
    for part in path:
        if not hasattr(at, part):
            at.add_module(part, nn.Module())
        at = getattr(at, part)
    if isinstance(value, nn.Parameter) or last in ("weight", "bias"):
        at.register_parameter(last, nn.Parameter(value.detach().clone(), requires_grad=False))
    else:
        at.register_buffer(last, value.detach().clone())
    return name


def _output(program: Program, values: list[fx.Node]) -> Any:
    names = program.output_names
    if names == ("output",):
        return values[0]
    if all(name.isidentifier() for name in names) and len(set(names)) == len(names):
        return dict(zip(names, values, strict=True))
    return tuple(values)
