"""Which task a network has, which output is judged, and by what."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdiag.core.measures.task import TaskChoice, TaskKind, TaskReason
from qdiag.simulate.task.choice.fits import (
    fit_boxes,
    fit_classes,
    fit_embedding,
    fit_numbers,
    fit_one_hot,
    fit_positions,
    named_vector,
)
from qdiag.simulate.task.choice.quantities import are_unequal
from qdiag.simulate.task.choice.seen import Seen, named_output, no_fit
from qdiag.simulate.task.tasks import Tasks
from qdiag.simulate.task.user import MetricRequest, user_task


@dataclass(frozen=True)
class TaskRequest:
    """What the user says about the task; None for what is to be found out.

    Attributes:
        kind: of task. output: name of the output to judge. metric: the user's own.
    """

    kind: TaskKind | None = None
    output: str | None = None
    metric: MetricRequest | None = None


def choose_tasks(request: TaskRequest, seen: Seen) -> Tasks:
    """The criteria of a run: the user's metric first, then what labels, names and operations speak for.

    Raises:
        ConfigError: no output has the name asked for, or none fits the labels or the task.
    """
    if request.output is not None:
        named = named_output(seen.outputs, request.output)
        seen = replace(seen, outputs=[named], others=[o for o in seen.outputs if o is not named])
    found = _chosen(request, seen)
    if request.metric is None:
        return found
    reason: TaskReason = "metric"
    choice = replace(found.choice, reason=reason, named_by="")
    if request.output is None and len(seen.outputs) != 1:
        choice = replace(choice, output="")  # the metric gets all outputs
    own = user_task(request.metric)
    others = tuple(task for task in found.criteria if task.criterion.name != own.criterion.name)
    return replace(found, criteria=(own, *others), choice=choice)


def _chosen(request: TaskRequest, seen: Seen) -> Tasks:
    kind = request.kind
    if kind == "none" or not seen.outputs:
        return _unjudged(request, seen)
    has_own = request.metric is not None
    if kind is None and seen.kind_of_labels != "none":
        by_labels = _BY_LABELS.get(seen.kind_of_labels)
        found = by_labels(seen) if by_labels is not None else None
        if found is not None:
            return _asked(found, request)
        if not has_own:
            raise no_fit(seen)
    if kind is not None:
        found = _BY_KIND[kind](seen)
        if found is None and not has_own:
            raise no_fit(seen, kind)
        if found is not None:
            return _asked(found, request)
    return _asked(_by_sign(seen) or _unjudged(request, seen), request)


def _asked(found: Tasks, request: TaskRequest) -> Tasks:
    if request.kind is None and request.output is None:
        return found
    return replace(found, choice=replace(found.choice, reason="asked", named_by=""))


def _by_sign(seen: Seen) -> Tasks | None:
    """Without labels: a classifier where a name or a softmax says so, and the shape does not speak against it."""
    seen = replace(seen, labels=None, kind_of_labels="none")
    named = named_vector(seen.outputs)
    found = fit_classes(replace(seen, outputs=[named])) if named is not None else None
    if found is not None and named is not None:
        if named.is_vaguely_named and are_unequal(seen.values[named.index], named.columns):
            return _signed(_by_sqnr(seen), "unequal_numbers", named.classifier_name)
        return _signed(found, "name", named.classifier_name)
    maps = [o for o in seen.outputs if len(seen.outputs) == 1 and o.position_classes > 1 and o.position_name]
    found = fit_positions(replace(seen, outputs=maps))
    if found is not None:
        return _signed(found, "name", maps[0].position_name)
    own = replace(seen, outputs=[o for o in seen.outputs if o.ends_in == "softmax"])
    found = fit_classes(own) or fit_positions(own)
    return _signed(found, "softmax", "") if found is not None else None


def _signed(found: Tasks, reason: TaskReason, name: str) -> Tasks:
    return replace(found, choice=replace(found.choice, reason=reason, named_by=name))


def _unjudged(request: TaskRequest, seen: Seen) -> Tasks:
    """Judged by the SQNR of the outputs."""
    reason: TaskReason = "asked" if request.kind == "none" else "no_sign" if seen.outputs else "no_output"
    return _signed(_by_sqnr(seen), reason, "")


def _by_sqnr(seen: Seen) -> Tasks:
    one = seen.outputs[0] if len(seen.outputs) == 1 else None
    return Tasks((), TaskChoice("none", one.name if one else ""), None, one.index if one else None)


_BY_LABELS: dict[str, Callable[[Seen], Tasks | None]] = {
    "classes": lambda seen: fit_classes(seen) or fit_numbers(seen),
    "mask": lambda seen: fit_one_hot(seen) or fit_positions(seen) or fit_numbers(seen),
    "floats": lambda seen: fit_one_hot(seen) or fit_positions(seen) or fit_numbers(seen),
    "boxes": fit_boxes,
}
_BY_KIND: dict[str, Callable[[Seen], Tasks | None]] = {
    "classify": lambda seen: fit_one_hot(seen) or fit_classes(seen),
    "segment": fit_positions,
    "detect": fit_boxes,
    "regress": fit_numbers,
    "embed": fit_embedding,
}
