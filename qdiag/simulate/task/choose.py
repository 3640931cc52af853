"""Which task a network has, which output is judged, and by what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qdiag.core.measures.task import TaskChoice, TaskKind, TaskReason
from qdiag.simulate.task.boxes.agreement import BoxAgreement
from qdiag.simulate.task.boxes.precision import BoxPrecision
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.boxes.recognize import best_layout, layouts_of, likely_layout
from qdiag.simulate.task.classes import TOP_K, Agreement, Logits, TopK
from qdiag.simulate.task.hints import Output
from qdiag.simulate.task.masks import IGNORED, MeanIoU, Positions, PositionShare
from qdiag.simulate.task.numbers import PSNR, Cosine, MeanError
from qdiag.simulate.task.seen import Seen, named_output, no_fit
from qdiag.simulate.task.tasks import Tasks
from qdiag.simulate.task.user import MetricRequest, user_task

_IMAGE_CHANNELS = (1, 3, 4)


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
    if request.output is None:
        choice = replace(choice, output="")  # the metric gets all outputs
    return replace(found, criteria=(user_task(request.metric), *found.criteria), choice=choice)


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
    """Without labels: a classifier where a name or a softmax says so."""
    signs: tuple[tuple[TaskReason, list[Output]], ...] = (
        ("name", [o for o in seen.outputs if o.classifier_word]),
        ("softmax", [o for o in seen.outputs if o.ends_in == "softmax"]),
    )
    for reason, outputs in signs:
        own = replace(seen, outputs=outputs, labels=None, kind_of_labels="none")
        found = _classes(own) or (_positions(own) if reason == "softmax" or len(seen.outputs) == 1 else None)
        if found is not None:
            word = next(o.classifier_word for o in outputs if o.name == found.choice.output)
            return replace(found, choice=replace(found.choice, reason=reason, named_by=word))
    return None


def _classes(seen: Seen) -> Tasks | None:
    """A vector of logits: with labels, the one that they fit most closely."""
    vectors = [o for o in seen.outputs if o.columns]
    many = [o for o in vectors if o.columns > 1]
    if not many:
        return _binary(seen, vectors)
    is_labelled = seen.kind_of_labels == "classes"
    if len(many) > 1:
        named = [o for o in many if o.classifier_word] if not is_labelled else []
        highest = seen.label_range()[1] if is_labelled else 0
        fitting = [o for o in named or many if o.columns > highest]
        if is_labelled and fitting:
            least = min(o.columns for o in fitting)
            tied = [o for o in fitting if o.columns == least]
            fitting = [o for o in tied if o.classifier_word] or tied
        many = fitting
    if not many:
        return None
    return _classifier(many[0], Logits(many[0].index, many[0].columns), is_labelled=is_labelled)


def _binary(seen: Seen, vectors: Sequence[Output]) -> Tasks | None:
    """One number whose sign, or whose side of one half behind a sigmoid, is the answer."""
    is_labelled = seen.kind_of_labels == "classes"
    if len(vectors) != 1 or (is_labelled and not 0 <= seen.label_range()[0] <= seen.label_range()[1] <= 1):
        return None
    if not is_labelled and vectors[0].ends_in != "sigmoid":
        return None
    one = vectors[0]
    return _classifier(one, Logits(one.index, 1, 0.5 if one.ends_in == "sigmoid" else 0.0), is_labelled=is_labelled)


def _classifier(output: Output, logits: Logits, *, is_labelled: bool) -> Tasks:
    top = [TopK(logits), *([TopK(logits, TOP_K)] if logits.classes > TOP_K else [])] if is_labelled else []
    reason: TaskReason = "labels" if is_labelled else "asked"
    return Tasks((*top, Agreement(logits)), TaskChoice("classify", output.name, reason), logits, output.index)


def _positions(seen: Seen) -> Tasks | None:
    """Logits for each pixel or each step of a sequence."""
    is_labelled = seen.kind_of_labels in ("mask", "classes") and isinstance(seen.labels, Tensor)
    for output in seen.outputs:
        if len(output.shape) < 2:
            continue
        noun = "pixel" if len(output.shape) > 2 else "step"
        # images have their classes on axis 1, sequences on the last one
        axes = (1, len(output.shape)) if len(output.shape) > 2 else (2, 1)
        for axis in axes:
            classes = output.shape[axis - 1]
            count = _numel(output.shape) // max(classes, 1)
            if is_labelled and not _fits_masks(seen.labels, count, classes):
                continue
            positions = Positions(output.index, axis, classes, 0.5 if output.ends_in == "sigmoid" else 0.0)
            own = PositionShare(positions, is_against_float=True, noun=noun)
            if not is_labelled:
                return Tasks((own,), TaskChoice("segment", output.name, "asked"), None, output.index)
            share = PositionShare(positions, is_against_float=False, noun=noun)
            named = [MeanIoU(positions), share] if noun == "pixel" else [share]
            return Tasks((*named, own), TaskChoice("segment", output.name, "targets"), None, output.index)
    return None


def _fits_masks(masks: Tensor, count: int, classes: int) -> bool:
    flat = masks.reshape(masks.shape[0], -1)
    counted = flat[(flat != IGNORED) & (flat >= 0)]
    return flat.shape[1] == count and (not counted.numel() or int(counted.max()) < max(classes, 2))


def _numbers(seen: Seen) -> Tasks | None:
    """Float targets of an output's shape; without targets the error at the output is all there is."""
    if seen.kind_of_labels not in ("floats", "classes", "mask") or not isinstance(seen.labels, Tensor):
        if seen.kind_of_labels == "none" and seen.outputs:
            name, index = (seen.outputs[0].name, seen.outputs[0].index) if len(seen.outputs) == 1 else ("", None)
            return Tasks((), TaskChoice("regress", name, "asked"), None, index)
        return None
    shape = tuple(seen.labels.shape[1:])
    fitting = [o for o in seen.outputs if _squeezed(o.shape) == _squeezed(shape)]
    if not fitting:
        return None
    output = fitting[0]
    own = (MeanError(output.index), MeanError(output.index, "RMSE"))
    is_image = len(output.shape) == 3 and output.shape[0] in _IMAGE_CHANNELS
    psnr = (PSNR(output.index, 255.0 if float(seen.labels.abs().max()) > 2.0 else 1.0),) if is_image else ()
    return Tasks((*psnr, *own), TaskChoice("regress", output.name, "targets"), None, output.index)


def _embedding(seen: Seen) -> Tasks | None:
    vectors = [o for o in seen.outputs if o.columns > 1] or [o for o in seen.outputs if o.shape]
    named = [o for o in vectors if o.embedding_word] or vectors
    if not named:
        return None
    output = named[0]
    has_targets = isinstance(seen.labels, Tensor) and tuple(seen.labels.shape[1:]) == output.shape
    against = Cosine(output.index)
    given = (Cosine(output.index, is_against_float=False),) if has_targets else ()
    return Tasks((*given, against), TaskChoice("embed", output.name, "asked"), None, output.index)


def _detection(seen: Seen) -> Tasks | None:
    """Boxes with scores; with true boxes, in the layout by which the float network finds them best."""
    every, named = (*seen.outputs, *seen.others), {o.index for o in seen.outputs}
    is_labelled = seen.kind_of_labels == "boxes"
    layouts = layouts_of(every, seen.values, are_all=is_labelled)
    layouts = [one for one in layouts if {one.boxes, one.scores} & named]
    values, labels = seen.values, seen.labels
    layout = best_layout(layouts, values, labels) if is_labelled else likely_layout(layouts, values)
    if layout is None:
        return None
    output = next(o for o in every if o.index == layout.scores)
    reader, index = BoxReader(layout), output.index if layout.boxes == layout.scores else None
    own = BoxAgreement(reader)
    if not is_labelled:
        return Tasks((own,), TaskChoice("detect", output.name, "asked"), None, index)
    named_ones = (BoxPrecision(reader), BoxPrecision(reader, "mAP50"), own)
    return Tasks(named_ones, TaskChoice("detect", output.name, "targets"), None, index)


def _unjudged(request: TaskRequest, seen: Seen) -> Tasks:
    """Judged by the SQNR of the outputs."""
    reason: TaskReason = "asked" if request.kind == "none" else "no_sign" if seen.outputs else "no_output"
    one = seen.outputs[0] if request.output is not None and seen.outputs else None
    return Tasks((), TaskChoice("none", one.name if one else "", reason), None, one.index if one else None)


_BY_LABELS: dict[str, Callable[[Seen], Tasks | None]] = {
    "classes": lambda seen: _classes(seen) or _numbers(seen),
    "mask": lambda seen: _positions(seen) or _numbers(seen),
    "floats": _numbers,
    "boxes": _detection,
}
_BY_KIND: dict[str, Callable[[Seen], Tasks | None]] = {
    "classify": _classes,
    "segment": _positions,
    "detect": _detection,
    "regress": _numbers,
    "embed": _embedding,
}


def _numel(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
