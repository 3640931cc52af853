"""What every repair is: a name, and a function from a case and the places of a finding to a treated case."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.causes.repair import LayerFix
from qdiag.core.causes.repair_traits import TRAITS, RepairTraits
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.scheme import QuantScheme
from qdiag.repairs.edit import ChannelEdit
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session


@dataclass(frozen=True)
class RepairContext:
    """What a repair may need to know beside the case.

    Attributes:
        batchnorms: the audit of the untreated model; None without BatchNorms.
        facts: per layer name, of the untreated network.
        session: of the run.
        spared: channels by layer that a repair must leave as they are, which another suspect answers for.
        is_local: a repair that could spread along the network is held to the sites and what touches them.
    """

    batchnorms: BatchNormAudit | None = None
    facts: Mapping[str, LayerFacts] = field(default_factory=dict)
    session: Session = field(default_factory=Session)
    spared: Mapping[str, frozenset[int]] = field(default_factory=dict)
    is_local: bool = False


@dataclass(frozen=True)
class Treatment:
    """A treated case.

    Attributes:
        case: the new one; the one given is left as it was.
        layers: where something was changed.
        moves_float: the float network may have changed; callers measure by how much.
        tensors: new values by name in the original model, for a repaired checkpoint; empty for changes of the plan.
        settings: values of `--set` that make the scheme so, for changes of the plan that the scheme can express.
        costs: what it costs the user: scales to store, multiplications in float or in wider integers, ...
        edits: what `tensors` is made of, channel by channel, where each can be left out by itself.
        batchnorms: the BatchNorms that these are of.
    """

    case: Case
    layers: tuple[str, ...]
    moves_float: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    costs: tuple[Evidence, ...] = ()
    edits: tuple[ChannelEdit, ...] = ()
    batchnorms: tuple[LayerFix, ...] = ()


Apply = Callable[[Case, Sequence[FindingSite], RepairContext], Treatment]
"""Applies a repair to sites, healthy ones too (a placebo is the same repair elsewhere).

Raises:
    RepairRefused: it cannot or must not be done there; says why.
"""
Ways = Callable[[Case, Sequence[FindingSite], RepairContext], Iterator[tuple[float | None, Treatment]]]
"""The same in several ways; each with the room under bounds that it leaves, None where it meets none."""


@dataclass(frozen=True)
class WholeChange:
    """A change of the scheme for the whole network.

    Attributes:
        layers: those that it concerns. settings: values of `--set` that make it so. costs: as in `Treatment`.
    """

    scheme: QuantScheme
    layers: tuple[str, ...]
    settings: tuple[str, ...]
    costs: tuple[Evidence, ...]


@dataclass(frozen=True)
class Repair:
    """A repair.

    Attributes:
        ways: how else it can be made, the one that changes most first, each with a word on the room that it leaves
            under bounds; for callers that can refuse one and take the next.
        everywhere: it as a change of the scheme itself; for repairs that are measured for the whole network too.
        in_float: the float network with it, and the layers that it changes, before any range is observed; for repairs
            that as a rule cost the float network too much. Raises as `apply` does.
    """

    name: str
    apply: Apply
    ways: Ways | None = None
    everywhere: Callable[[Case], WholeChange | None] | None = None
    in_float: Callable[[Case, Sequence[FindingSite]], tuple[Case, tuple[str, ...]]] | None = None

    @property
    def traits(self) -> RepairTraits:
        return TRAITS[self.name]
