"""Baselines of form 1, which knew classifiers alone."""

from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from qdiag.core.baseline import Baseline, BaselineCause
from qdiag.core.measures.counts import counts_figure
from qdiag.core.measures.outcomes import SampleOutcomes
from qdiag.core.measures.task import AGREEMENT, TOP_1, Figure, PairedCounts
from qdiag.writers.json.read import contradicting, read_json

FORM = 1


@dataclass(frozen=True, slots=True)
class OutcomesV1:
    """One bit per sample: whether both networks agree, and whether each is right, which is empty without labels."""

    count: int
    agree: str
    reference_right: str = ""
    simulated_right: str = ""


@dataclass(frozen=True, slots=True)
class BaselineV1:
    """Fields as in `Baseline`; counts are None without labels, and without answers of a classifier."""

    fingerprints: dict[str, str]
    sample_count: int
    top1: PairedCounts | None = None
    agreement_count: int | None = None
    output_sqnr_db: float = float("nan")
    causes: tuple[BaselineCause, ...] | None = None
    layer_sqnr_db: dict[str, float] = field(default_factory=dict)
    outcomes: OutcomesV1 | None = None
    schema_version: int = FORM


def baseline_of_form_1(text: str, hint: str) -> Baseline:
    """The same as a form 1 baseline says, with figures instead of counts.

    Raises:
        LoadError: not JSON, no such baseline, or one that contradicts itself so that no figures can be made of it.
    """
    old = read_json(text, TypeAdapter(BaselineV1), "baseline", FORM, hint)
    return Baseline(
        fingerprints=old.fingerprints,
        sample_count=old.sample_count,
        figures=tuple(_figures(old)),
        output_sqnr_db=old.output_sqnr_db,
        causes=old.causes,
        layer_sqnr_db=old.layer_sqnr_db,
    )


def _figures(old: BaselineV1) -> list[Figure]:
    found, outcomes = [], old.outcomes
    if old.top1 is not None:
        figure = counts_figure(TOP_1, old.top1)
        if outcomes is not None:
            columns = outcomes.reference_right, outcomes.simulated_right
            figure = replace(figure, outcomes=SampleOutcomes(outcomes.count, *columns))
        found.append(figure)
    if old.agreement_count is not None:
        same = old.agreement_count
        if not 0 <= same <= old.sample_count:
            raise contradicting("baseline", "agreement_count", f"{same} of {old.sample_count} samples")
        figure = counts_figure(AGREEMENT, PairedCounts(same, old.sample_count - same))
        if outcomes is not None:
            figure = replace(figure, outcomes=SampleOutcomes(outcomes.count, "", outcomes.agree))
        found.append(figure)
    return found
