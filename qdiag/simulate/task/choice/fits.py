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
from qdiag.simulate.task.choice.label_values import values_of
from qdiag.simulate.task.choice.seen import Seen
from qdiag.simulate.task.classes import TOP_K, Agreement, Logits, TopK
from qdiag.simulate.task.masks import MeanIoU, Positions, PositionShare
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
    if len(many) > 1 and is_labelled:
        highest = seen.label_values().high
        fitting = [o for o in many if o.columns > highest]
        least = min((o.columns for o in fitting), default=0)
        tied = [o for o in fitting if o.columns == least]
        many = [o for o in tied if o.classifier_name] or tied
    elif len(many) > 1:
        named = named_vector(many)
        many = many if named is None else [named]
    if not many:
        return None
    return _classifier(many[0], Logits(many[0].index, many[0].columns), is_labelled=is_labelled)


def named_vector(outputs: Sequence[Output]) -> Output | None:
    """The vector that names call a classifier's; None without one, or where the names of layers speak for several.

    The name of an output counts more than that of a layer behind it. One number is no classifier's, unless it is
    behind a sigmoid.
    """
    named = [o for o in outputs if o.classifier_name and (o.columns > 1 or (o.columns and o.ends_in == "sigmoid"))]
    by_themselves = [o for o in named if o.classifier_name == o.name]
    if by_themselves:
        return next((o for o in by_themselves if o.columns > 1), by_themselves[0])
    return named[0] if len(named) == 1 else None


def fit_one_hot(seen: Seen) -> Tasks | None:
    """Labels (N, C) with 1 at the class of each sample and 0 elsewhere."""
    labels = seen.labels
    fitting = [o for o in seen.outputs if isinstance(labels, Tensor) and o.columns == labels.shape[-1]]
    if not fitting or labels.ndim != 2 or not _is_one_hot(seen, 1):
        return None
    output = next((o for o in fitting if o.classifier_name), fitting[0])
    return _classifier(output, Logits(output.index, output.columns), is_labelled=True)


def _is_one_hot(seen: Seen, axis: int) -> bool:
    """Along that axis, in all samples; only where the first batch is, the others are looked at."""
    return axis in values_of(seen.labels).one_hot_axes and axis in seen.label_values().one_hot_axes


def _binary(seen: Seen, vectors: Sequence[Output]) -> Tasks | None:
    """One number whose sign, or whose side of one half behind a sigmoid, is the answer."""
    is_labelled = seen.kind_of_labels == "classes"
    if len(vectors) != 1 or (is_labelled and not seen.label_values().are_zero_or_one):
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
    is_labelled = seen.kind_of_labels in ("mask", "classes", "floats") and isinstance(seen.labels, Tensor)
    for output in seen.outputs:
        if len(output.shape) < 2:
            continue
        noun = "pixel" if len(output.shape) > 2 else "step"
        # images have their classes on axis 1, sequences on the last one
        axes = (1, len(output.shape)) if len(output.shape) > 2 else (2, 1)
        for axis in axes:
            classes = output.shape[axis - 1]
            are_one_hot = is_labelled and _are_one_hot_masks(seen, output, axis)
            if is_labelled and not are_one_hot and not _are_masks(seen, output, classes):
                continue
            threshold = 0.5 if output.ends_in == "sigmoid" else 0.0
            positions = Positions(output.index, axis, classes, threshold, are_one_hot)
            own = PositionShare(positions, is_against_float=True, noun=noun)
            if not is_labelled:
                return Tasks((own,), TaskChoice("segment", output.name, "asked"), None, output.index)
            share = PositionShare(positions, is_against_float=False, noun=noun)
            named = [MeanIoU(positions), share] if noun == "pixel" else [share]
            return Tasks((*named, own), TaskChoice("segment", output.name, "targets"), None, output.index)
    return None


def _are_one_hot_masks(seen: Seen, output: Output, axis: int) -> bool:
    """They have the shape of the logits, and 1 at the class of each position."""
    return tuple(seen.labels.shape[1:]) == output.shape and _is_one_hot(seen, axis)


def _are_masks(seen: Seen, output: Output, classes: int) -> bool:
    """A class number for each position. The values of all samples decide: the first batch may lack most classes.

    Floats are class numbers where they are 0 and 1 for a single channel, or whole numbers that no output equals in
    shape.
    """
    shape = tuple(seen.labels.shape[1:])
    if _numel(shape) != _numel(output.shape) // max(classes, 1):
        return False
    if seen.kind_of_labels == "floats":
        are_numbers = classes > 1 and any(_squeezed(o.shape) == _squeezed(shape) for o in seen.outputs)
        first = values_of(seen.labels)
        if are_numbers or not first.are_whole or (classes == 1 and not first.are_zero_or_one):
            return False
        values = seen.label_values()
        return values.are_bits if classes == 1 else values.are_whole and values.highest_class < classes
    return seen.label_values().highest_class < max(classes, 2)


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
    psnr = (PSNR(output.index, _peak(seen)),) if is_image else ()
    is_few = 2 <= output.columns <= QUANTITIES_AT_MOST
    scaled = (ScaledError(output.index),) if is_few else ()
    return Tasks((*psnr, *scaled, *own), TaskChoice("regress", output.name, "targets"), None, output.index)


def _peak(seen: Seen) -> float:
    """The largest value that images like the targets of all samples may have."""
    values = seen.label_values()
    return 255.0 if max(abs(values.low), abs(values.high)) > 2.0 else 1.0


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
