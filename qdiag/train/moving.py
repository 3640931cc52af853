"""Which tensors of a network may change when it is trained."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from torch import fx

from qdiag.errors import ConfigError
from qdiag.simulate.case import Case
from qdiag.train.network.weight_source import NormSource, kept_norms, weight_sources


def moving_names(case: Case, parameters: Collection[str], layers: Sequence[str] = ()) -> frozenset[str]:
    """Names of the parameters and running statistics that may change.

    Args:
        parameters: names of all parameters that the model trains, see `parameter_names`.
        layers: glob patterns; only what the layers of these names are made of, their BatchNorms included. All when
            empty.

    Raises:
        ConfigError: a pattern matches no layer.
    """
    names = case.program.parameter_names
    reached: set[str] = set()
    for pattern in layers or ("*",):
        found = [layer for layer in case.network.graph.layers if layer.nodes and _matches(pattern, layer.name)]
        if not found:
            some = ", ".join(layer.name for layer in case.network.graph.layers[1:5])
            raise ConfigError(f"no layer is called {pattern}", at="`layers`", hint=f"they are called {some}, ...")
        reached.update(node for layer in found for node in layer.nodes)
    sources, kept = weight_sources(case), kept_norms(case)
    nodes = {node.name: node for node in case.program.graph.nodes}
    moving: set[str] = set()
    norms: list[NormSource] = [norm for name, norm in kept.items() if name in reached]
    for source in sources.values():
        if source.layer.nodes[0] in reached:
            norms += source.norms
    for norm in norms:
        moving.update(names[key] for key in (norm.mean, norm.variance) if key in names)
        for part in (norm.gamma, norm.beta):
            moving.update(_behind(part, case) if part is not None else ())
    for name in reached & nodes.keys():
        for argument in nodes[name].all_input_nodes:
            moving.update(_behind(argument, case))
    statistics = {names[key] for norm in norms for key in (norm.mean, norm.variance) if key in names}
    return frozenset(name for name in moving if name in parameters or name in statistics)


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)


def _behind(node: fx.Node, case: Case) -> set[str]:
    """Names of the tensors that alone lead to a value; none where an input of the network leads to it."""
    found, pending, seen = set[str](), [node], set[fx.Node]()
    while pending:
        at = pending.pop()
        if at in seen:
            continue
        seen.add(at)
        if at.op == "placeholder":
            if str(at.target) in case.program.inputs:
                return set()
            found.add(case.program.parameter_names.get(str(at.target), ""))
        pending += at.all_input_nodes
    return found - {""}
