"""Patterns that a scheme has for places rather than for names, as the layers that stand there in one network.

`@first`: layers with weights before which none has weights. `@first_input`: what stands before them, the network's
inputs among it. `@last`: layers with weights after which none has weights, and what follows them. `@last_input`: what
the layers with weights among those read, and what its quantizer belongs to.
"""

from collections.abc import Mapping
from dataclasses import replace

from qdiag.core.graph import CONSTANT, OpGraph
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError

_MARK = "@"


def with_names(scheme: QuantScheme, graph: OpGraph) -> QuantScheme:
    """The scheme with names of layers in place of places, so that a stored result says what it is.

    Raises:
        ConfigError: there is no such place, or no layer stands there.
    """
    patterns = [*(override.pattern for override in scheme.layers), *scheme.float_layers]
    if not any(pattern.startswith(_MARK) for pattern in patterns):
        return scheme
    found = places(graph)
    overrides = tuple(
        replace(override, pattern=name) for override in scheme.layers for name in _names(override.pattern, found)
    )
    floats = dict.fromkeys(name for pattern in scheme.float_layers for name in _names(pattern, found))
    return replace(scheme, layers=overrides, float_layers=tuple(floats))


def places(graph: OpGraph) -> Mapping[str, tuple[str, ...]]:
    """Names of the layers at each place, in graph order."""
    layers = {layer.name: layer for layer in graph.sites if layer.kind != CONSTANT}
    weighted = {name for name, layer in layers.items() if layer.weight is not None}
    behind, before = set[str](), set[str]()
    for name, layer in layers.items():
        if any(source in weighted or source in behind for source in layer.inputs):
            behind.add(name)
    for name, layer in reversed(layers.items()):
        if name in weighted or name in before:
            before.update(layer.inputs)
    last = weighted - before
    read = {source for name in last for source in layers[name].inputs}
    for name, layer in reversed(layers.items()):
        if name in read and layer.policy == "shared":
            read.update(layer.inputs)
    chosen = {
        "@first_input": (before - behind) - weighted,
        "@first": weighted - behind,
        "@last_input": read,
        "@last": last | ((behind - before) - weighted),
    }
    return {place: tuple(name for name in layers if name in names) for place, names in chosen.items()}


def _names(pattern: str, found: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The layers at a place; a pattern of names as it is."""
    if not pattern.startswith(_MARK):
        return (pattern,)
    if pattern not in found:
        raise ConfigError(f"{pattern!r} is no place in a network", hint=f"places are {', '.join(found)}")
    if not found[pattern]:
        raise ConfigError(f"no layer stands at {pattern}", hint="the network has no layer with weights")
    return found[pattern]
