"""BatchNorms and the layers they fold into, as tensors: what `qdiag bn` looks at, however the model was stored."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from qdiag.capture.fold_rules import Candidate, choose, layer_after, layer_before
from qdiag.core.measures.bn import Certainty, Direction, LayerKind, NormTensorNames, PairedBy, PairedLayer
from qdiag.numerics.batchnorm import batch_norm_affine

UNTRACKED = "it keeps no running statistics: its gain changes with every batch"
TRAINING = "it runs in training mode: its gain changes with every batch, these are its stored statistics"
NO_NEIGHBOUR = "no convolution or linear layer stands directly before or after it: it stays an operation of its own"


@dataclass(frozen=True)
class NormTensors:
    """One BatchNorm. Tensors are (C,), or None where it has none.

    Attributes:
        name: module path, or what the file calls it.
        eps_is_assumed: a state dict does not hold it.
        stored: names of its tensors; None where they are `name.weight`, `name.bias` and `name.running_var`.
    """

    name: str
    channels: int
    eps: float
    gamma: Tensor | None
    beta: Tensor | None
    mean: Tensor | None
    variance: Tensor | None
    eps_is_assumed: bool = False
    is_training: bool = False
    stored: NormTensorNames | None = None

    @property
    def tensor_names(self) -> NormTensorNames:
        prefix = f"{self.name}." if self.name else ""
        return self.stored or NormTensorNames(f"{prefix}weight", f"{prefix}bias", f"{prefix}running_var")


@dataclass(frozen=True)
class LayerTensors:
    """A convolution or linear layer.

    Attributes:
        weight: (C_out, C_in / groups, ...), or (C_in, C_out / groups, ...) with `output_axis` 1.
        is_padded: it surrounds its input with zeros.
    """

    name: str
    kind: LayerKind
    weight_name: str
    weight: Tensor
    groups: int = 1
    output_axis: int = 0
    is_padded: bool = False

    @property
    def output_channels(self) -> int:
        return int(self.weight.shape[0]) if self.output_axis == 0 else int(self.weight.shape[1]) * self.groups

    @property
    def input_channels(self) -> int:
        return int(self.weight.shape[1]) * self.groups if self.output_axis == 0 else int(self.weight.shape[0])


@dataclass(frozen=True)
class NormSite:
    """One call of a BatchNorm: its tensors, and the layer with the pair's description, or why there is none."""

    norm: NormTensors
    layer: LayerTensors | None = None
    pair: PairedLayer | None = None
    reason: str | None = None
    call: int = 1
    call_count: int = 1


@dataclass(frozen=True)
class NormSites:
    """All BatchNorms in order. `route` says what they were read from; `notes` what a careful reader should know."""

    route: str
    sites: tuple[NormSite, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphOp:
    """An operation as far as pairing cares.

    Attributes:
        key: unique. inputs: keys of the tensors it reads.
        is_pass: gives its input back unchanged (identity, dropout in eval mode).
    """

    key: str
    inputs: tuple[str, ...]
    norm: NormTensors | None = None
    layer: LayerTensors | None = None
    is_pass: bool = False


def describe_pair(
    layer: LayerTensors,
    *,
    is_norm_first: bool,
    paired_by: PairedBy,
    certainty: Certainty,
    not_foldable: str | None = None,
) -> PairedLayer:
    """The pair in plain values."""
    noun = "linear" if layer.kind == "linear" else "conv"
    directions: dict[tuple[str, bool], Direction] = {
        ("conv", False): "conv->bn",
        ("linear", False): "linear->bn",
        ("conv", True): "bn->conv",
        ("linear", True): "bn->linear",
    }
    shape = tuple(int(size) for size in layer.weight.shape)
    return PairedLayer(
        name=layer.name,
        kind=layer.kind,
        weight_name=layer.weight_name,
        weight_shape=shape,
        groups=layer.groups,
        direction=directions[noun, is_norm_first],
        paired_by=paired_by,
        certainty=certainty,
        not_foldable=not_foldable,
    )


def pair_in_graph(ops: Sequence[GraphOp]) -> list[NormSite]:
    """Pairs every BatchNorm with the layer before it, or else with the one after it, by the rules of the fold."""
    by_key: dict[str, GraphOp] = {}
    source: dict[str, str] = {}
    users: dict[str, list[GraphOp]] = defaultdict(list)
    for op in ops:
        inputs = [source.get(key, key) for key in op.inputs]
        if op.is_pass and len(inputs) == 1:
            source[op.key] = inputs[0]
            continue
        by_key[op.key] = op
        for key in dict.fromkeys(inputs):
            users[key].append(op)
    sites = []
    for op in by_key.values():
        if op.norm is not None:
            before = by_key.get(source.get(op.inputs[0], op.inputs[0])) if op.inputs else None
            found = choose(_before(op.norm, before, users), _after(op.norm, users[op.key]))
            if found.layer is None:
                sites.append(NormSite(op.norm, reason=NO_NEIGHBOUR))
                continue
            pair = describe_pair(
                found.layer,
                is_norm_first=found.is_norm_first,
                paired_by="graph",
                certainty="certain",
                not_foldable=found.reason,
            )
            sites.append(NormSite(op.norm, found.layer, pair))
    return number_calls(sites)


def number_calls(sites: Iterable[NormSite]) -> list[NormSite]:
    """The same sites, each knowing which call of its module it is."""
    listed = list(sites)
    counts, seen = Counter(site.norm.name for site in listed), Counter[str]()
    numbered = []
    for site in listed:
        seen[site.norm.name] += 1
        numbered.append(replace(site, call=seen[site.norm.name], call_count=counts[site.norm.name]))
    return numbered


def _before(norm: NormTensors, before: GraphOp | None, users: dict[str, list[GraphOp]]) -> Candidate[LayerTensors]:
    if before is None or before.layer is None or before.layer.output_channels != norm.channels:
        return Candidate(None, False, NO_NEIGHBOUR)
    return layer_before(before.layer, reader_count=len(users[before.key]))


def _after(norm: NormTensors, users: list[GraphOp]) -> Candidate[LayerTensors]:
    layer = users[0].layer if len(users) == 1 else None
    if layer is None or layer.input_channels != norm.channels:
        return Candidate(None, True, NO_NEIGHBOUR)
    return layer_after(
        layer, is_transposed=layer.kind == "conv_transpose", is_padded=layer.is_padded, shifts=_shifts(norm)
    )


def _shifts(norm: NormTensors) -> bool:
    """Whether a zero comes out as something else."""
    if norm.mean is None or norm.variance is None:
        return True
    return bool((batch_norm_affine(norm.gamma, norm.beta, norm.mean, norm.variance, norm.eps).shift != 0).any())
