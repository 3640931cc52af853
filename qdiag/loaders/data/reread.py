"""A few samples of data that were opened already, as they are or prepared otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdiag.batches import Batches, RewrittenBatches
from qdiag.errors import DataError
from qdiag.loaders.data.arrays import ArraySamples
from qdiag.loaders.data.input_array import InputArray, open_input
from qdiag.loaders.data.samples import Reading, SampleSet, Selection
from qdiag.loaders.data.split import seeded_order
from qdiag.loaders.images.images import ImageSamples
from qdiag.loaders.images.preprocessing import Preprocessing

Change = Callable[[SampleSet], SampleSet]


@dataclass(frozen=True)
class Pixels:
    """Samples that the preprocessing options apply to; `now` is None where values are taken as stored."""

    now: Preprocessing | None


def pixels_of(batches: Batches) -> Pixels | None:
    """How the images behind these batches are prepared; None where they are no images, or the options say nothing."""
    selection = _selection(batches)
    if selection is None:
        return None
    if isinstance(selection.samples, ImageSamples):
        return Pixels(selection.samples.how)
    array = _image_array(selection.samples)
    if array is None:
        return None
    if array.preprocessing is None:
        try:
            _prepared_array(array, Preprocessing())
        except DataError:  # values that are no pixels
            return None
    return Pixels(array.preprocessing)


def few_of(batches: Batches, count: int, how: Preprocessing | None = None) -> Batches | None:
    """At most `count` of the samples, drawn from all of them, prepared as they were or as `how` says.

    None where batches come from somewhere else than stored samples, or are no images and `how` is given.

    Raises:
        DataError: the preprocessing does not fit the images.
    """
    if _selection(batches) is None or (how is not None and pixels_of(batches) is None):
        return None
    return _changed(batches, count, (lambda samples: samples) if how is None else lambda s: _prepared(s, how))


def few_places(batches: Batches, count: int) -> tuple[int, ...] | None:
    """The positions of the samples that `few_of` takes; None where it takes none."""
    selection = _selection(batches)
    # a fixed step could miss classes that take turns
    return tuple(sorted(seeded_order(len(selection.indices), 0)[:count])) if selection is not None else None


def are_full(batches: Batches) -> bool:
    """Every batch but the last has as many samples as the batch size says."""
    return _selection(batches) is not None


def _selection(batches: Batches) -> Selection | None:
    while isinstance(batches, RewrittenBatches):
        batches = batches.inner
    return batches if isinstance(batches, Selection) and batches.samples.own_batch_size is None else None


def _changed(batches: Batches, count: int, change: Change) -> Batches:
    if isinstance(batches, RewrittenBatches):
        return replace(batches, inner=_changed(batches.inner, count, change))
    assert isinstance(batches, Selection)
    indices = tuple(batches.indices[i] for i in few_places(batches, count) or ())
    return replace(batches, samples=change(batches.samples), indices=indices)


def _prepared(samples: SampleSet, how: Preprocessing) -> SampleSet:
    if isinstance(samples, ImageSamples):
        return replace(samples, how=how)
    array = _image_array(samples)
    assert isinstance(samples, ArraySamples) and array is not None
    changed = _prepared_array(array, how)
    return replace(samples, inputs=tuple(changed if one is array else one for one in samples.inputs))


def _image_array(samples: SampleSet) -> InputArray | None:
    """The one input whose values are pixels, or that could be."""
    if not isinstance(samples, ArraySamples):
        return None
    prepared = [array for array in samples.inputs if array.preprocessing is not None]
    if len(prepared) == 1:
        return prepared[0]
    return samples.inputs[0] if len(samples.inputs) == 1 and samples.inputs[0].values.ndim == 4 else None


def _prepared_array(array: InputArray, how: Preprocessing) -> InputArray:
    if array.preprocessing is not None:
        words = array.description.replace(array.preprocessing.describe(), how.describe(), 1)
        return replace(array, preprocessing=how, description=words)
    opened = open_input(array.name, array.values, Reading(how))
    if opened.layout != ("nchw" if array.layout == "stored" else array.layout):
        raise DataError("the channels lie on another axis than the network takes")
    return opened
