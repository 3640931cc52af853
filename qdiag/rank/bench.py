"""What all trials share: the untreated case, the repairs, and what was measured already."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from qdiag.core.by_identity import ByIdentity
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair import FLOAT_BOUND
from qdiag.core.causes.score import FloatCost
from qdiag.core.measures.task import Figure
from qdiag.errors import QdiagError, RepairRefused, first_line
from qdiag.rank.suspects import Suspect
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.stored_weights import check_given
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.changes import with_tensors, without_quantizers
from qdiag.simulate.session import Session
from qdiag.simulate.task.score_cases import Effort
from qdiag.simulate.task.scoring import Scored, float_cost

FEW = 32
"""Samples that may tell what a repair costs the float network, and of the first round among candidates."""
EQUAL = FLOAT_BOUND / 10.0
"""Largest |change| of a float output over its largest |value| on a few samples, up to which all of them are not run."""
DOUBT = 1.5
"""95 % intervals are taken so many times as wide: to three standard errors."""


@dataclass(frozen=True)
class Attempt:
    """A repair applied to a suspect of a case; `treatment` is None when it was refused.

    Attributes:
        layers, cost: of one that was refused for what it costs the float network.
    """

    suspect: Suspect
    repair: str
    treatment: Treatment | None
    refused: str | None = None
    layers: tuple[str, ...] = ()
    cost: FloatCost | None = None


Treated = tuple[Treatment | None, str | None] | tuple[None, str, tuple[str, ...], FloatCost]
"""What comes after suspect and repair in an `Attempt`."""


@dataclass
class Bench:
    """Applies repairs and measures cases; neither is done twice for the same thing.

    Attributes:
        case: untreated. repairs: by name. suspects: all of them.
        raises: an unexpected error inside a repair ends the run, for whoever looks for it; otherwise it is the reason
            why that repair was not made.
        is_exhaustive: what no verdict depends on is measured too.
    """

    case: Case
    repairs: Mapping[str, Repair]
    context: RepairContext
    suspects: Sequence[Suspect] = ()
    raises: bool = False
    is_exhaustive: bool = True
    effort: Effort = field(default_factory=Effort)
    _applied: dict[object, Treated] = field(default_factory=dict)
    _costs: ByIdentity[FloatCost] = field(default_factory=ByIdentity)
    _floats: ByIdentity[Case] = field(default_factory=ByIdentity)

    @property
    def session(self) -> Session:
        return self.context.session

    @property
    def base(self) -> Scored:
        """The score of the untreated case."""
        return self.score([self.case], "quantized network")[0]

    def apply(self, suspect: Suspect, repair: str, case: Case, sites: Sequence[FindingSite]) -> Attempt:
        """A treatment, or why there is none."""
        # what a repair recovers counts for its own suspect only when it leaves the others' channels alone
        context = replace(self.context, spared=spared_channels(self.suspects, suspect), is_local=bool(suspect.code))
        if case is not self.case:
            return Attempt(suspect, repair, *self._treated(repair, case, sites, context))
        # the first step of the sequence tries what was tried alone, and two suspects may have the same sites
        places = tuple(replace(site, evidence=()) for site in sites)
        key = (repair, places, frozenset(context.spared.items()), context.is_local)
        if key not in self._applied:
            self._applied[key] = self._treated(repair, case, sites, context)
        return Attempt(suspect, repair, *self._applied[key])

    def _treated(self, repair: str, case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treated:
        if repair not in self.repairs:
            return None, "this version has no such repair"
        try:
            if (in_float := self.repairs[repair].in_float) is not None and not self.is_exhaustive:
                network, layers = in_float(case, sites)
                cost = float_cost(self.score([network], "float networks")[0])
                if (too_much := costs_too_much(cost)) is not None:
                    return None, too_much, layers, cost
            treatment = self.repairs[repair].apply(case, sites, context)
            check_given(case, treatment.case)
        except RepairRefused as refusal:
            return None, refusal.message
        except QdiagError as error:
            return None, f"it failed: {error}"
        except Exception as error:
            if self.raises:
                raise
            return None, f"it failed: {first_line(error)}"
        return treatment, None

    def score(self, cases: Sequence[Case], stage: str, *, keeps: bool = False) -> list[Scored]:
        """Scores on the measured data, of each case once; see `Session.score`."""
        found, effort = self.session.score(cases, stage, keeps=keeps)
        self.effort = self.effort + effort
        return found

    def has_room(self) -> bool:
        """What further networks give on some samples can be held, so that these do not run again."""
        return self.session.asked.has_room(self.session.processes)

    def is_run(self, case: Case) -> bool:
        """What the network gives was to be held for all of its samples, so that a pass runs no batch of it."""
        return self.session.asked.has_all(case.plan, case.measured)

    def score_attempts(
        self, attempts: Sequence[Attempt], stage: str, *, beside: Sequence[Case] = ()
    ) -> list[tuple[Attempt, Scored | None, FloatCost | None]]:
        """Each attempt with its score, and what it costs the float network where it moves that.

        Args:
            beside: other cases that will be asked for, measured in the same passes.
        """
        treatments = [a.treatment for a in attempts if a.treatment is not None]
        moving = [a for a in attempts if a.treatment is not None and a.treatment.moves_float]
        self.measure_costs(moving, stage, beside=[*beside, *(one.case for one in treatments)])
        return [self._row(attempt, stage) for attempt in attempts]

    def cost(self, attempt: Attempt) -> FloatCost | None:
        """What an attempt costs the float network, or the checkpoint that holds it, as far as it was measured."""
        return self._costs.get(attempt.treatment) if attempt.treatment is not None else None

    def measure_costs(
        self,
        attempts: Sequence[Attempt],
        stage: str,
        *,
        beside: Sequence[Case] = (),
        held: Mapping[str, Tensor] | None = None,
        on_all: bool = False,
        on_few: bool = False,
    ) -> None:
        """Measures what attempts cost the float network, or the checkpoint that holds them.

        Args:
            beside: other cases that will be asked for, measured in the same passes.
            held: tensors of the steps before, by name in the model, which a checkpoint holds and their case does not.
            on_all: on all samples, also where a few of them settle it, unless the outputs stay as good as equal.
            on_few: on a few of them, also where these do not settle it, for figures that no choice depends on.
        """
        treatments = {id(a.treatment): a.treatment for a in attempts if a.treatment is not None}
        known = {key: self._costs.get(treatment) for key, treatment in treatments.items()}
        floats = {
            key: self._written(treatment, held or {})
            for key, treatment in treatments.items()
            if (treatment.moves_float or treatment.tensors)
            and ((cost := known[key]) is None or (on_all and cost.sample_count is not None and not _is_equal(cost)))
        }
        if not on_all and not self.is_exhaustive and self.has_room():
            few = {key: on_some(case, FEW) for key, case in floats.items()}
            self.score(list(few.values()), f"{stage}, on some samples", keeps=True)
            for key, case in few.items():
                cost = self.cost_on_some(treatments[key], self.score([case], stage)[0])
                if on_few and self._costs.get(treatments[key]) is None:
                    self._costs.put(treatments[key], cost)
            floats = {key: case for key, case in floats.items() if self._costs.get(treatments[key]) is None}
        self.score([*beside, *floats.values()], stage)
        for key, case in floats.items():
            cost = float_cost(self.score([case], stage)[0])
            self._costs.put(treatments[key], replace(cost, is_of_checkpoint=not treatments[key].moves_float))

    def cost_on_some(self, treatment: Treatment, scored: Scored) -> FloatCost:
        """What a treatment costs the float network, which was scored on some samples.

        It is kept where these settle it: the outputs hold still and nothing is lost, or a checkpoint is far too bad.
        """
        count, judged = scored.score.task.sample_count, scored.score.task.judged
        is_some, moves = count < self.case.measured.sample_count, treatment.moves_float
        cost = replace(float_cost(scored), is_of_checkpoint=not moves, sample_count=count if is_some else None)
        is_still = cost.relative_delta <= FLOAT_BOUND and not cost.loss > 0.0
        is_far = judged is not None and cost.is_of_checkpoint and _lowest_loss(judged) > cost.small
        if is_some and (is_still or is_far):
            self._costs.put(treatment, cost)
        return cost

    def _written(self, treatment: Treatment, held: Mapping[str, Tensor]) -> Case:
        """The float network that a checkpoint with this treatment holds; what is held is written after all others."""
        if treatment.moves_float:
            return self.in_float(treatment)
        changes = {**held, **treatment.tensors}
        return without_quantizers(with_tensors(self.session, treatment.case, changes, recalibrate=False))

    def in_float(self, treatment: Treatment) -> Case:
        """The float network of a treated case; always the same object."""
        return self._floats.once(treatment, lambda: without_quantizers(treatment.case))

    def _row(self, attempt: Attempt, stage: str) -> tuple[Attempt, Scored | None, FloatCost | None]:
        if attempt.treatment is None:
            return attempt, None, None
        return attempt, self.score([attempt.treatment.case], stage)[0], self.cost(attempt)


def spared_channels(suspects: Sequence[Suspect], treated: Suspect) -> dict[str, frozenset[int]]:
    """Channels of the weights that belong to other suspects, by layer; none where the treated one has no finding."""
    found: dict[str, set[int]] = {}
    for other in suspects if treated.code else ():
        if other is not treated and other.place == "weight":
            for site in other.sites:
                found.setdefault(site.layer, set()).update(site.channels)
    for site in treated.sites:
        found.get(site.layer, set()).difference_update(site.channels)
    return {layer: frozenset(channels) for layer, channels in found.items() if channels}


def _is_equal(cost: FloatCost) -> bool:
    return cost.relative_delta <= EQUAL and not cost.loss > 0.0


def _lowest_loss(judged: Figure) -> float:
    return judged.loss + DOUBT * (judged.loss_interval.low - judged.loss)


def costs_too_much(cost: FloatCost | None) -> str | None:
    """Why a repair must not be made, from what it does to the float network; None when it may.

    What a checkpoint alone holds is no reason: the quantized network that was asked about is repaired all the same.
    """
    if cost is None or cost.is_of_checkpoint or not cost.is_too_much:
        return None
    if math.isnan(cost.loss):
        return f"it changes the float output by {100 * cost.relative_delta:.1f} % of its largest value"
    unit = "points" if cost.unit == "pp" else cost.unit
    return f"it costs the float network {cost.loss:.3g} {unit}".rstrip() + f", more than {cost.small:.3g}"
