"""BatchNorms of a bare state dict: told by their statistics, paired with layers by name and shape.

The names say which layer belongs to which BatchNorm in most networks, and prove it in none: each pair carries how sure
it is. A state dict does not hold eps, groups of transposed convolutions, or what lies between two layers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from qdiag.batchnorms.sites import LayerTensors, NormSite, NormSites, NormTensors, describe_pair
from qdiag.core.measures.bn import Certainty

_NO_LAYER = "no layer has a name and a shape that would fit"
_STATISTICS = ("running_var", "running_mean")
_WORDS = re.compile(r"batch_?norm|normalization|bnorm|norm|bn|convolution|conv\d+d|conv|linear", re.IGNORECASE)

_Match = tuple[LayerTensors, bool, Certainty]


def norms_of_tensors(tensors: Mapping[str, Tensor], eps: float) -> NormSites:
    """The BatchNorms of a state dict, in the order of the file, or of numbers and names where it is sorted by name.

    Args:
        tensors: name to tensor, in the order of the file.
        eps: to be assumed.
    """
    # Files that are sorted by name do not say what follows what.
    is_sorted = list(tensors) == sorted(tensors)
    names = sorted(tensors, key=_natural) if is_sorted else list(tensors)
    norms = [norm for name in names if (norm := _norm(name, tensors, eps)) is not None]
    layers = [layer for name in names if (layer := _layer(name, tensors[name])) is not None]
    places = None if is_sorted else {name: i for i, name in enumerate(tensors)}
    pairs = _pairs(norms, layers, places)
    sites = []
    for norm in norms:
        if norm.name not in pairs:
            sites.append(NormSite(norm, reason=_NO_LAYER))
            continue
        layer, is_norm_first, certainty = pairs[norm.name]
        pair = describe_pair(layer, is_norm_first=is_norm_first, paired_by="name and shape", certainty=certainty)
        sites.append(NormSite(norm, layer, pair))
    return NormSites("state dict", tuple(sites), tuple(_notes(tensors, norms, eps)))


def _notes(tensors: Mapping[str, Tensor], norms: Sequence[NormTensors], eps: float) -> Iterator[str]:
    if norms:
        yield (
            f"no graph: layers are paired by name and shape, and eps is taken to be {eps:g}; "
            "`arch` settles both, `assumed_eps` the second"
        )
    known = {norm.name for norm in norms}
    without = [
        prefix
        for name, value in tensors.items()
        if name.endswith(".bias")
        and value.ndim == 1
        and (prefix := name.removesuffix(".bias")) not in known
        and (weight := tensors.get(f"{prefix}.weight")) is not None
        and weight.ndim == 1
    ]
    if without:
        noun = "normalization" if len(without) == 1 else "normalizations"
        yield (
            f"{len(without)} {noun} without running statistics left out ({without[0]}"
            f"{', ...' if len(without) > 1 else ''}): of layers, of groups, or a BatchNorm that does not track them"
        )


def _norm(name: str, tensors: Mapping[str, Tensor], eps: float) -> NormTensors | None:
    prefix, _, leaf = name.rpartition(".")
    variance = tensors[name]
    if leaf != _STATISTICS[0] or variance.ndim != 1:
        return None

    def part(key: str) -> Tensor | None:
        value = tensors.get(f"{prefix}.{key}".lstrip("."))
        return value if value is not None and value.shape == variance.shape else None

    return NormTensors(
        prefix, len(variance), eps, part("weight"), part("bias"), part(_STATISTICS[1]), variance, eps_is_assumed=True
    )


def _layer(name: str, weight: Tensor) -> LayerTensors | None:
    prefix, _, leaf = name.rpartition(".")
    if leaf != "weight" or weight.ndim not in (2, 3, 4, 5) or not weight.is_floating_point():
        return None
    if weight.ndim == 2:
        return LayerTensors(prefix, "linear", name, weight)
    # One input channel and several outputs: depthwise, unless it is the first layer of a network on grey images,
    # for which everything below is the same.
    is_depthwise = weight.shape[1] == 1 and weight.shape[0] > 1
    return LayerTensors(prefix, "depthwise_conv" if is_depthwise else "conv", name, weight)


def _pairs(
    norms: Sequence[NormTensors], layers: Sequence[LayerTensors], places: Mapping[str, int] | None
) -> dict[str, _Match]:
    """Norm name to its layer. The surest matches go first, and a layer goes to one norm only."""
    pairs: dict[str, _Match] = {}
    taken: set[str] = set()
    for certainty, is_match in _RULES:
        for norm in norms:
            if norm.name in pairs:
                continue
            found = [
                (layer, is_norm_first)
                for candidates, is_norm_first in ((layers, False), (layers, True), (_transposed(layers), False))
                for layer in candidates
                if layer.name not in taken
                and is_match(norm, layer, is_norm_first)
                and _fits(norm, layer, is_norm_first)
            ]
            if found:
                layer, is_norm_first = _nearest(norm, found, places)
                is_sure = certainty == "likely" and not is_norm_first and layer.kind != "conv_transpose"
                pairs[norm.name] = (layer, is_norm_first, "likely" if is_sure else "guess")
                taken.add(layer.name)
    return pairs


def _transposed(layers: Sequence[LayerTensors]) -> list[LayerTensors]:
    """The convolutions as transposed ones, where the shape would tell the difference."""
    return [
        replace(layer, kind="conv_transpose", output_axis=1)
        for layer in layers
        if layer.kind == "conv" and layer.weight.shape[0] != layer.weight.shape[1]
    ]


def _fits(norm: NormTensors, layer: LayerTensors, is_norm_first: bool) -> bool:
    if is_norm_first:
        return layer.kind != "depthwise_conv" and layer.input_channels == norm.channels
    return layer.output_channels == norm.channels


def _nearest(
    norm: NormTensors, found: Sequence[tuple[LayerTensors, bool]], places: Mapping[str, int] | None
) -> tuple[LayerTensors, bool]:
    """The layer that lies closest before the norm in the file, where its order says something; else the first."""
    if places is None:
        return found[0]
    at = places[f"{norm.name}.{_STATISTICS[0]}".lstrip(".")]
    before = [pair for pair in found if not pair[1] and places[pair[0].weight_name] < at]
    return max(before, key=lambda pair: places[pair[0].weight_name]) if before else found[0]


def _same_words(norm: NormTensors, layer: LayerTensors, is_norm_first: bool) -> bool:
    """`dw_bn` and `dw`, `bn1` and `conv1`, `bn` and `conv`: equal once the words for what they are have gone."""
    del is_norm_first
    (norm_parent, norm_leaf), (layer_parent, layer_leaf) = _split(norm.name), _split(layer.name)
    if norm_parent != layer_parent or norm_leaf.isdigit() or layer_leaf.isdigit():
        return False
    return _stem(norm_leaf) == _stem(layer_leaf)


def _is_next_number(norm: NormTensors, layer: LayerTensors, is_norm_first: bool) -> bool:
    """`features.0.0` and `features.0.1`: neighbours in a Sequential."""
    (norm_parent, norm_leaf), (layer_parent, layer_leaf) = _split(norm.name), _split(layer.name)
    if norm_parent != layer_parent or not (norm_leaf.isdigit() and layer_leaf.isdigit()):
        return False
    return int(layer_leaf) - int(norm_leaf) == (1 if is_norm_first else -1)


def _same_parent(norm: NormTensors, layer: LayerTensors, is_norm_first: bool) -> bool:
    """Nothing but the place and the shape."""
    return not is_norm_first and _split(norm.name)[0] == _split(layer.name)[0]


def _is_inside(norm: NormTensors, layer: LayerTensors, is_norm_first: bool) -> bool:
    """`conv1.bn` in `conv1`: torch.ao trains the layer and its BatchNorm as one module."""
    return not is_norm_first and bool(layer.name) and _split(norm.name)[0] == layer.name


_RULES: tuple[tuple[Certainty, Callable[[NormTensors, LayerTensors, bool], bool]], ...] = (
    ("likely", _is_inside),
    ("likely", _same_words),
    ("likely", _is_next_number),
    ("guess", _same_parent),
)
"""In this order."""


def _split(name: str) -> tuple[str, str]:
    parent, _, leaf = name.rpartition(".")
    return parent, leaf


def _stem(leaf: str) -> str:
    return _WORDS.sub("", leaf).strip("_-").replace("__", "_")


def _natural(name: str) -> list[tuple[int, str]]:
    """`blocks.2` before `blocks.10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
