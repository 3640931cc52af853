"""What a graph says about its outputs: their names, the layers behind them, and the operation that they end in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.simulate.passes.network import Network

_ANSWER_WORDS = frozenset(
    {"logit", "logits", "prob", "probs", "probability", "probabilities", "softmax", "cls", "class", "classes"}
    | {"classifier", "classification", "lm"}
)
"""They say of an output of any shape that its numbers belong to classes."""
_VECTOR_WORDS = frozenset({"fc", "head", "score", "scores", "prediction", "predictions"})
"""They say it of a vector alone: detectors, depth maps and regressions end in heads too."""
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
    def position_classes(self) -> int:
        """Numbers of each position of a map (C, H, W) or of a sequence (T, C); 0 for outputs of another shape."""
        if self.columns or len(self.shape) < 2:
            return 0
        return self.shape[0] if len(self.shape) > 2 else self.shape[-1]

    @property
    def classifier_name(self) -> str:
        """The name, of the output or of a layer, that calls it a classifier's; empty without one.

        Several numbers behind a sigmoid each are no classes of which one is the answer: of a name that only vectors
        have, the shape knows better.
        """
        own = self._named((self.name,), _ANSWER_WORDS | _VECTOR_WORDS)
        is_plain = self.columns > 0 and (self.columns == 1 or self.ends_in != "sigmoid")
        of_layer = self._named(self.layers, _ANSWER_WORDS | (_VECTOR_WORDS if is_plain else frozenset()))
        return own or of_layer

    @property
    def is_vaguely_named(self) -> bool:
        """Its classifier's name is one that regressions have too."""
        own = self.classifier_name
        return own != "" and not self._named((own,), _ANSWER_WORDS)

    @property
    def position_name(self) -> str:
        """The name that says of a map or a sequence that each position has numbers for classes; empty without one."""
        return self._named((self.name, *self.layers), _ANSWER_WORDS)

    @property
    def embedding_word(self) -> str:
        return self._named((self.name, *self.layers), _EMBEDDING_WORDS)

    @staticmethod
    def _named(names: Sequence[str], words: frozenset[str]) -> str:
        for name in names:
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
