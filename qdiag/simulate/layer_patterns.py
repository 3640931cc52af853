"""Patterns by which a scheme names layers."""

from fnmatch import fnmatchcase

from qdiag.core.graph import INPUT, OpGraph
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError


def matches(pattern: str, name: str) -> bool:
    """A name of a layer matches a pattern, and itself, whatever signs of a pattern it holds."""
    return pattern == name or fnmatchcase(name, pattern)


def check_patterns(graph: OpGraph, scheme: QuantScheme) -> None:
    """Every pattern of `float_layers` and `layers` matches a layer.

    Raises:
        ConfigError: one matches none; says what layers are called.
    """
    everything = [layer.name for layer in graph.sites]
    names = [layer.name for layer in graph.layers if layer.kind != INPUT]
    for pattern in scheme.float_layers:
        if not any(matches(pattern, name) for name in everything):
            some = ", ".join(names[:4])
            raise ConfigError(f"float_layers = {pattern!r} matches no layer", hint=f"layers are called {some}, ...")
    for override in scheme.layers:
        if not any(map(override.matches, everything)):
            some = ", ".join(everything[:4])
            raise ConfigError(f"layers.{override.pattern!r} matches no layer", hint=f"layers are called {some}, ...")
