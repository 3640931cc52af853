"""SHA-256 of what the result of a pass depends on: networks with their weights, plans, schemes, data."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batches
from qdiag.core.by_identity import ByIdentity
from qdiag.numerics.tensor_bytes import tensor_bytes

_KNOWN_NAMESPACES = ("aten", "prim", "prims")
_KNOWN_MODULES = ("_operator", "builtins", "math")


class NoFingerprint(Exception):  # noqa: N818 - no failure: such a pass is run every time
    """Nothing here tells whether two of these are equal."""


class Fingerprints:
    """Fingerprints of one run. Big things are read once: nothing in a run writes to a tensor, plan or data set."""

    def __init__(self) -> None:
        self._known: ByIdentity[str] = ByIdentity()

    def of(self, value: object) -> str:
        """Equal for equal values of the same type, in this process and in others.

        Dataclasses count field by field, so a field that a plan gains later counts at once.

        Raises:
            NoFingerprint: a graph holds operations that torch does not define.
        """
        if isinstance(value, Tensor):
            return self._once(value, _of_tensor)
        if isinstance(value, fx.Graph):
            return self._once(value, _of_graph)
        if is_dataclass(value) and not isinstance(value, type):
            return self._once(value, self._of_fields)
        if isinstance(value, Mapping):
            return _hash("mapping", *(f"{key!r}:{self.of(value[key])}" for key in sorted(value, key=str)))
        if isinstance(value, tuple | list):
            return _hash("sequence", *map(self.of, value))
        return repr(value)

    def of_batches(self, batches: Batches) -> str:
        """Of the samples, their labels and their preprocessing, and of how they are cut into batches.

        Raises:
            NoFingerprint: they are more than their digest tells.
        """
        return self._once(batches, _of_batches)

    def _of_fields(self, value: Any) -> str:
        parts = (f"{field.name}:{self.of(getattr(value, field.name))}" for field in fields(value))
        return _hash(type(value).__qualname__, *parts)

    def _once(self, value: Any, make: Callable[[Any], str]) -> str:
        found = self._known.get(value)
        if found is None:
            found = make(value)
            with suppress(TypeError):  # an object with slots: small, and hashed again
                self._known.put(value, found)
        return found


def _of_tensor(x: Tensor) -> str:
    try:
        data = tensor_bytes(x).numpy().data
    except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, quantized, without values
        raise NoFingerprint(str(error)) from error
    digest = hashlib.sha256(f"{x.dtype} {tuple(x.shape)}\n".encode())
    digest.update(data)
    return digest.hexdigest()


def _of_graph(graph: fx.Graph) -> str:
    for node in graph.nodes:
        if node.op == "call_function" and not is_known(node.target):
            # code that is neither torch's nor ours may change without a trace in the graph
            raise NoFingerprint(str(node.target))
    return _hash("graph", str(graph))


def is_known(target: Any) -> bool:
    """An operation of torch's own, or of Python."""
    if isinstance(target, torch._ops.OpOverload):
        return target.namespace in _KNOWN_NAMESPACES
    return getattr(target, "__module__", None) in _KNOWN_MODULES


def _of_batches(batches: Batches) -> str:
    if not batches.is_reproducible:
        raise NoFingerprint(batches.source)
    parts = (type(batches).__qualname__, batches.digest(), batches.batch_size, batches.sample_count)
    return _hash("batches", *map(str, parts), str(batches.is_labelled), batches.preprocessing)


def _hash(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
