"""What a graph says about its outputs: their names, the layers behind them, and the operation that they end in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.simulate.passes.network import Network

_CLASSIFIER_WORDS = frozenset(
    {"logit", "logits", "prob", "probs", "probability", "probabilities", "score", "scores", "fc", "cls", "class"}
    | {"classes", "classifier", "classification", "head", "softmax", "prediction", "predictions"}
)
_EMBEDDING_WORDS = frozenset(
    {"emb", "embed", "embedding", "embeddings", "embeds", "feature", "features", "pooler", "pooled"}
)


@dataclass(frozen=True)
class Output:
    """One float output of the network.

    Attributes:
        index: among all outputs. shape: of one sample.
        layers: names of the layers whose values it holds.
        ends_in: kind of operation, or of the clamp, that makes its values: `softmax`, `sigmoid`, ...; empty otherwise.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    layers: tuple[str, ...] = ()
    ends_in: str = ""

    @property
    def columns(self) -> int:
        """Numbers of a vector (C,), or of (C, 1, 1); 0 for outputs of another shape."""
        is_vector = bool(self.shape) and all(size == 1 for size in self.shape[1:])
        return self.shape[0] if is_vector else 0

    @property
    def classifier_word(self) -> str:
        """The name, of the output or of its layer, that calls it a classifier's; empty without one."""
        return self._named(_CLASSIFIER_WORDS)

    @property
    def embedding_word(self) -> str:
        return self._named(_EMBEDDING_WORDS)

    def _named(self, words: frozenset[str]) -> str:
        for name in (self.name, *self.layers):
            if any(part.rstrip("0123456789") in words for part in re.split(r"[^0-9a-z]+", name.lower())):
                return name
        return ""


def outputs_of(network: Network, values: Sequence[Any], count: int) -> tuple[Output, ...]:
    """The float outputs that have a value for each sample.

    Args:
        values: outputs for a batch of `count` samples.
    """
    node = next(node for node in network.program.graph.nodes if node.op == "output")
    names, graph = network.program.output_names, network.graph
    layers = {layer.name: layer for layer in graph.layers}
    found = []
    for i, (source, value) in enumerate(zip(node.args[0], values, strict=True)):
        if not (isinstance(value, Tensor) and value.is_floating_point() and value.ndim and value.shape[0] == count):
            continue
        behind = [layers[name] for name in graph.sources.get(getattr(source, "name", ""), ()) if name in layers]
        ends_in = next((kind for kind in map(_ends_in, behind) if kind), "")
        # what a softmax is called says less than the layer that it reads
        read = [layers[name] for layer in behind if _ends_in(layer) for name in layer.inputs if name in layers]
        found.append(
            Output(i, names[i], tuple(value.shape[1:]), tuple(layer.name for layer in (*behind, *read)), ends_in)
        )
    return tuple(found)


def _ends_in(layer: Layer) -> str:
    last = layer.ops[-1] if layer.ops else ""
    return next((word for word in ("softmax", "sigmoid") if word in last), "")
