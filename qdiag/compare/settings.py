"""What was not the same in two runs, and whether that forbids a comparison."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from qdiag.core.compare import Difference
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import count_noun
from qdiag.core.measures.change import same_criterion
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Criterion

_DIGEST_SHOWN = 12
_MODEL = ("source", "format", "architecture", "parameter_count", "digest")
_DATA = (
    *("source", "calibration_source", "calibration_count", "measured_count", "split", "is_data_free", "is_labelled"),
    *("preprocessing", "seed", "digest"),
)
"""The batch size is left out: no figure depends on it."""


def differences(before: Diagnosis, after: Diagnosis) -> tuple[Difference, ...]:
    """Settings of model, scheme, data, task, graph and versions that differ, in this order."""
    first, second = (dict(_settings(diagnosis.measurement)) for diagnosis in (before, after))
    return tuple(
        Difference(name, first.get(name, ""), second.get(name, ""))
        for name in [*first, *(name for name in second if name not in first)]
        if first.get(name, "") != second.get(name, "")
    )


def obstacles(before: Diagnosis, after: Diagnosis) -> tuple[str, ...]:
    """Why figures of the two do not mean the same: other samples, another metric, another output."""
    return (*_data_obstacles(before.measurement, after.measurement), *_metric_obstacles(before, after))


def calibration_notes(before: Diagnosis, after: Diagnosis) -> Iterator[str]:
    """Ranges come from the calibration samples, and where these differ, so do scales."""
    first, second = before.measurement.data, after.measurement.data
    sources = [(data.calibration_source, data.calibration_count, data.seed) for data in (first, second)]
    if first.digest == second.digest and sources[0] != sources[1]:
        yield "they were calibrated on other samples: a part of what changed at single layers may come from that"


def _data_obstacles(before: Measurement, after: Measurement) -> Iterator[str]:
    first, second = before.data, after.data
    if first.digest == second.digest:
        return
    if first.is_data_free and second.is_data_free:
        yield "each was measured on inputs drawn from its own network's statistics"
    else:
        words = [
            f"{count_noun(data.measured_count, 'sample')} of {data.source} (sha256 {data.digest[:_DIGEST_SHOWN]})"
            for data in (first, second)
        ]
        yield f"they were measured on other data: {words[0]} before, {words[1]} after"


def _metric_obstacles(before: Diagnosis, after: Diagnosis) -> Iterator[str]:
    first, second = before.measurement.task, after.measurement.task
    if not same_criterion(first.judged, second.judged):
        words = [_criterion_words(task.judged.criterion if task.judged else None) for task in (first, second)]
        yield f"they were measured by another metric: {words[0]} before, {words[1]} after"
    has_choice = len(before.measurement.outputs) > 1 or len(after.measurement.outputs) > 1
    outputs = [task.choice.output or "all outputs together" for task in (first, second)]
    if has_choice and outputs[0] != outputs[1]:
        yield f"they were judged at other outputs: {outputs[0]} before, {outputs[1]} after"


def _criterion_words(criterion: Criterion | None) -> str:
    """`MAE`; of two metrics of one name, the unit tells them apart, or the direction."""
    if criterion is None:
        return "SQNR of the outputs"
    unit = f" in {criterion.unit}" if criterion.unit not in ("", "%") else ""
    return f"{criterion.name}{unit}{'' if criterion.higher_is_better else ', lower is better'}"


def _settings(measurement: Measurement) -> Iterator[tuple[str, str]]:
    for group, value, names in (("model", measurement.model, _MODEL), ("data", measurement.data, _DATA)):
        for name in names:
            text = str(getattr(value, name))
            yield f"{group}.{name}", text[:_DIGEST_SHOWN] if name == "digest" else text
        if group == "model":
            yield from _flat("scheme", measurement.scheme)
    judged = measurement.task.judged
    yield "task.kind", measurement.task.choice.kind
    yield "task.output", measurement.task.choice.output
    yield "task.judged_by", _criterion_words(judged.criterion if judged is not None else None)
    yield "graph.route", measurement.capture.route
    yield "graph.batchnorms_folded", str(len(measurement.capture.folded_batchnorms))
    for name, version in sorted(measurement.versions.items()):
        yield f"versions.{name}", version


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """`scheme.weights.bits`, `8`; what does not apply is left out."""
    if is_dataclass(value):
        for field in fields(value):
            if field.name != "description":
                yield from _flat(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _flat(f"{name}.{i}", item)
    elif value is not None:
        yield name, str(value)
