"""`qdiag compare`: what got better and what got worse between two stored diagnoses."""

import math
from collections.abc import Iterator, Mapping

from qdiag.compare.causes import cause_changes
from qdiag.compare.layers import LayerMatch, LayerMatching, is_alike, match_layers
from qdiag.compare.settings import calibration_notes, differences, obstacles
from qdiag.compare.sides import Side, is_same_function, is_same_signal
from qdiag.compare.task import task_change
from qdiag.core.compare import Comparison, LayerChange, LoneLayer, RunSummary
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task_change import Change, difference
from qdiag.errors import ConfigError

MIN_CHANGE_DB = 1.0
"""A fifth of the noise power, a sixth of a bit (docs/compare.md says what was measured)."""


def compare_diagnoses(
    before: Diagnosis,
    after: Diagnosis,
    *,
    source_before: str = "before",
    source_after: str = "after",
    min_change_db: float = MIN_CHANGE_DB,
    force: bool = False,
) -> Comparison:
    """Layers, causes and task of two diagnoses, matched and judged.

    Args:
        source_before, source_after: what to call them.
        min_change_db: a layer whose SQNR changed by less counts as the same.
        force: compare what was measured on other samples, or judged by another figure.

    Raises:
        ConfigError: the two cannot be compared.
    """
    if not min_change_db >= 0.0:
        raise ConfigError(f"a change of {min_change_db:g} dB", at="`min_change_db`", hint="give 0 or more")
    reasons = obstacles(before, after)
    if reasons and not force:
        hint = "diagnose both on the same samples, or add `force` to see the figures side by side"
        raise ConfigError("; ".join(reasons), at=f"{source_before} and {source_after}", hint=hint)
    sides = Side(before.measurement.records, before.blocks), Side(after.measurement.records, after.blocks)
    has_same_signals = is_same_function(before, after)
    matching = match_layers(*sides, has_same_signals=has_same_signals)
    return Comparison(
        before=_summary(before, source_before),
        after=_summary(after, source_after),
        min_change_db=min_change_db,
        task=task_change(before, after),
        layers=tuple(_layer_change(match, min_change_db) for match in matching.matches),
        missing=tuple(_lone(record, sides[0], matching.names) for record in matching.missing),
        new=tuple(_lone(record, sides[1], _inverse(matching.names)) for record in matching.new),
        causes=cause_changes(before.ranking, after.ranking, _names_of_causes(matching, *sides)),
        differences=differences(before, after),
        forced=reasons,
        notes=(*_notes(matching, has_same_signals=has_same_signals), *calibration_notes(before, after)),
    )


def judge_change(before_db: float, after_db: float, min_change_db: float) -> Change:
    """Whether a layer got better, by a rule that looks at the size of the change alone.

    Both figures come from sums over thousands of values of the same samples, so that their own noise is far smaller
    than the smallest change that is worth a look.
    """
    change = difference(before_db, after_db)
    if math.isnan(change):
        return "unknown"
    if abs(change) < min_change_db or change == 0.0:
        return "same"
    return "better" if change > 0.0 else "worse"


def _layer_change(match: LayerMatch, min_change_db: float) -> LayerChange:
    before, after = match.before, match.after
    local = before.local.sqnr_db, after.local.sqnr_db
    propagated = before.propagated.sqnr_db, after.propagated.sqnr_db
    return LayerChange(
        index=after.index,
        name=after.name,
        name_before=before.name,
        kind=after.kind,
        matched_by=match.matched_by,
        certainty=match.certainty,
        local_before_db=local[0],
        local_after_db=local[1],
        propagated_before_db=propagated[0],
        propagated_after_db=propagated[1],
        # the last layer of a block alone and a whole convolution are not the same thing to make noise in
        local="unknown" if match.matched_by == "fused block" else judge_change(*local, min_change_db),
        propagated=judge_change(*propagated, min_change_db),
    )


def _lone(record: OpRecord, side: Side, names: Mapping[str, str]) -> LoneLayer:
    """A layer without a partner; it is said where its block has one."""
    block = side.inside.get(record.name)
    found = block.name if block is not None and block.layer in names else None
    return LoneLayer(record.index, record.name, record.kind, record.local.sqnr_db, record.propagated.sqnr_db, found)


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {after: before for before, after in names.items()}


def _names_of_causes(matching: LayerMatching, before: Side, after: Side) -> dict[str, str]:
    """Names of layers in either network to one name for both: what lies inside a fused block goes by its end."""
    names = matching.names
    for record in matching.missing:
        block = before.inside.get(record.name)
        if block is not None and block.layer in names:
            names[record.name] = names[block.layer]
    for record in matching.new:
        block = after.inside.get(record.name)
        if block is not None:
            names.setdefault(record.name, block.layer)
    return names


def _summary(diagnosis: Diagnosis, source: str) -> RunSummary:
    measurement = diagnosis.measurement
    return RunSummary(
        source=source,
        model=measurement.model.source,
        model_digest=measurement.model.digest,
        scheme=measurement.scheme.name,
        data=measurement.data.source,
        data_digest=measurement.data.digest,
        sample_count=measurement.task.sample_count,
        layer_count=len(measurement.records),
        cause_count=len(diagnosis.ranking.claimed),
        size=measurement.size,
    )


def _notes(matching: LayerMatching, *, has_same_signals: bool) -> Iterator[str]:
    other = [m.after.name for m in matching.matches if m.matched_by == "name" and not is_alike(m.before, m.after)]
    if other:
        noun = "layer has" if len(other) == 1 else "layers have"
        yield f"{len(other)} {noun} the same name and another kind or shape, first {other[0]}"
    scaled = [m.after.name for m in matching.matches if not is_same_signal(m.before.local, m.after.local)]
    if scaled and has_same_signals:
        noun = "layer has" if len(scaled) == 1 else "layers have"
        yield (
            f"{len(scaled)} {noun} another float signal in each network, first {scaled[0]}, although both give the "
            "same float outputs: compare their SQNR, not their mean squared errors"
        )
