"""A kind of task held against what one batch shows: its criteria where an output fits, None where none does."""

from collections.abc import Sequence

import torch
from torch import Tensor

from qdiag.core.measures.task import TaskChoice, TaskReason
from qdiag.simulate.task.boxes.agreement import BoxAgreement
from qdiag.simulate.task.boxes.precision import BoxPrecision
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.boxes.recognize import best_layout, layouts_of, likely_layout
from qdiag.simulate.task.choice.hints import Output
from qdiag.simulate.task.choice.seen import Seen
from qdiag.simulate.task.classes import TOP_K, Agreement, Logits, TopK
from qdiag.simulate.task.masks import IGNORED, MeanIoU, Positions, PositionShare
from qdiag.simulate.task.numbers import PSNR, Cosine, MeanError
from qdiag.simulate.task.quantities import QUANTITIES_AT_MOST, ScaledError
from qdiag.simulate.task.tasks import Tasks

_IMAGE_CHANNELS = (1, 3, 4)


def fit_classes(seen: Seen) -> Tasks | None:
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


def fit_positions(seen: Seen) -> Tasks | None:
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


def fit_numbers(seen: Seen) -> Tasks | None:
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
    psnr = (PSNR(output.index, 255.0 if float(seen.labels.double().abs().max()) > 2.0 else 1.0),) if is_image else ()
    is_few = 2 <= output.columns <= QUANTITIES_AT_MOST
    scaled = (ScaledError(output.index),) if is_few else ()
    return Tasks((*psnr, *scaled, *own), TaskChoice("regress", output.name, "targets"), None, output.index)


def fit_embedding(seen: Seen) -> Tasks | None:
    """A vector, of several the one that is named so."""
    vectors = [o for o in seen.outputs if o.columns > 1] or [o for o in seen.outputs if o.shape]
    named = [o for o in vectors if o.embedding_word] or vectors
    if not named:
        return None
    output = named[0]
    has_targets = isinstance(seen.labels, Tensor) and tuple(seen.labels.shape[1:]) == output.shape
    against = Cosine(output.index)
    given = (Cosine(output.index, is_against_float=False),) if has_targets else ()
    return Tasks((*given, against), TaskChoice("embed", output.name, "asked"), None, output.index)


def fit_boxes(seen: Seen) -> Tasks | None:
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


def _numel(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
