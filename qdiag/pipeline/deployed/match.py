"""Layers of two networks that are the same layer: of a float network, and of the one inside a quantized file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from qdiag.core.graph import CONSTANT, INPUT, Layer
from qdiag.simulate.passes.network import Network

_ALIKE = 0.8
_IMAGE = 4
"""Cosine of two weights from which one is taken for the other, rounded: 3-bit weights have 0.97."""


MatchWay = Literal["name", "weights", "place"]


@dataclass(frozen=True)
class LayerMatch:
    """Which layer of the file is which of the float network.

    Attributes:
        pairs: by name in the float network, the name in the file.
        only_float, only_file: layers that the other one has not.
        ways: by name in the float network, how it was found.
    """

    pairs: dict[str, str]
    only_float: tuple[str, ...]
    only_file: tuple[str, ...]
    ways: dict[str, MatchWay] = field(default_factory=dict)


def match_layers(float_network: Network, file_network: Network) -> LayerMatch:
    """By name; then by weights; then by what they read, by what reads them, and by the place between two others."""
    matcher = _Matcher(float_network, file_network)
    matcher.by_name()
    matcher.note("name")
    matcher.by_weight()
    matcher.note("weights")
    while any([matcher.by_inputs(), matcher.by_readers()]):
        pass
    while matcher.by_place():
        pass
    matcher.note("place")
    return matcher.result()


def stored_value(network: Network, layer: Layer) -> Tensor | None:
    """The weight of a layer, or the value of a constant."""
    name = layer.weight or (layer.nodes[0] if layer.kind == CONSTANT else None)
    value = network.program.constants.get(name or "")
    return None if value is None else value.cpu()


def with_axes_of(value: Tensor, other: Tensor) -> Tensor:
    """A weight of a file as that of the network: LiteRT has signals as images of one row."""
    is_row = value.ndim == _IMAGE == other.ndim + 1 and value.shape[2] == 1
    return value.squeeze(2) if is_row else value


@dataclass
class _Matcher:
    float_network: Network
    file_network: Network
    pairs: dict[str, str] = field(default_factory=dict)
    ways: dict[str, MatchWay] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._floats = {layer.name: layer for layer in self.float_network.graph.sites}
        self._files = {layer.name: layer for layer in self.file_network.graph.sites}

    def note(self, way: MatchWay) -> None:
        """How what was found since the last time was found."""
        self.ways |= {name: way for name in self.pairs if name not in self.ways}

    def by_name(self) -> None:
        """The same name, kind and shape of the weight; inputs of the network also by their order."""
        for name, layer in self._floats.items():
            other = self._files.get(name)
            if other is not None and other.kind == layer.kind and self._shapes_fit(layer, other):
                self.pairs[name] = name
        inputs = [[one.name for one in sites.values() if one.kind == INPUT] for sites in (self._floats, self._files)]
        if len(inputs[0]) == len(inputs[1]) and not any(name in self.pairs for name in inputs[0]):
            self.pairs.update(zip(*inputs, strict=True))

    def by_weight(self) -> None:
        """Weights that are each other's nearest, and constants that are."""
        floats = [one for one in self._open_floats() if stored_value(self.float_network, one) is not None]
        files = [one for one in self._open_files() if stored_value(self.file_network, one) is not None]
        likeness = {
            (one.name, other.name): self._likeness(one, other)
            for one in floats
            for other in files
            if one.kind == other.kind
        }
        for one, other in sorted(likeness, key=lambda pair: -likeness[pair]):
            if likeness[one, other] >= _ALIKE and one not in self.pairs and other not in self.pairs.values():
                self.pairs[one] = other

    def by_inputs(self) -> bool:
        """Layers of one kind that read the same layers; of several, in their order."""
        return self._paired(lambda layer: layer.inputs, lambda layer: layer.inputs)

    def by_readers(self) -> bool:
        """Layers of one kind that the same layers read."""
        return self._paired(
            lambda layer: tuple(one.name for one in self.float_network.graph.consumers(layer.name)),
            lambda layer: tuple(one.name for one in self.file_network.graph.consumers(layer.name)),
        )

    def by_place(self) -> bool:
        """What a layer reads at the place where its counterpart reads something else that is open: SiLU and its mul."""
        count = len(self.pairs)
        for name, other in list(self.pairs.items()):
            read, read_there = self._floats[name].inputs, self._files[other].inputs
            if len(read) != len(read_there):
                continue
            for one, two in zip(read, read_there, strict=True):
                is_free = one not in self.pairs and two not in self.pairs.values()
                if is_free and self._floats[one].weight is None and self._files[two].weight is None:
                    self.pairs[one] = two
        return len(self.pairs) > count

    def result(self) -> LayerMatch:
        """What was found."""
        only_float = tuple(one.name for one in self._open_floats() if one.kind != CONSTANT)
        only_file = tuple(one.name for one in self._open_files() if one.kind != CONSTANT)
        return LayerMatch(dict(self.pairs), only_float, only_file, dict(self.ways))

    def _open_floats(self) -> list[Layer]:
        return [layer for name, layer in self._floats.items() if name not in self.pairs]

    def _open_files(self) -> list[Layer]:
        taken = set(self.pairs.values())
        return [layer for name, layer in self._files.items() if name not in taken]

    def _paired(
        self, around: Callable[[Layer], tuple[str, ...]], around_there: Callable[[Layer], tuple[str, ...]]
    ) -> bool:
        count = len(self.pairs)
        open_files = self._open_files()
        for layer in self._open_floats():
            names = [self.pairs.get(name) for name in around(layer)]
            if not names or None in names:
                continue
            for other in open_files:
                same = sorted(around_there(other)) == sorted(str(name) for name in names)
                if same and other.kind == layer.kind and self._shapes_fit(layer, other):
                    self.pairs[layer.name] = other.name
                    open_files.remove(other)
                    break
        return len(self.pairs) > count

    def _shapes_fit(self, one: Layer, other: Layer) -> bool:
        values = stored_value(self.float_network, one), stored_value(self.file_network, other)
        if values[0] is None or values[1] is None:
            return values[0] is values[1]
        return values[0].shape == with_axes_of(values[1], values[0]).shape

    def _likeness(self, one: Layer, other: Layer) -> float:
        a, b = stored_value(self.float_network, one), stored_value(self.file_network, other)
        if a is None or b is None or a.shape != with_axes_of(b, a).shape:
            return 0.0
        return float(torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))
