"""Which samples calibrate and which are measured: seeded, spread over the whole set, never its beginning."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from qdiag.batches import Datasets
from qdiag.core.listed import count_noun
from qdiag.loaders.data.samples import SampleSet, Selection, StoredData

RangeUse = Literal["all", "repairs", "none"]
FOR_REPAIRS = "for the ranges of repairs"
NONE_TO_CALIBRATE = "none to calibrate: the file holds its ranges"
_SHARED_BELOW = 8
"""With fewer samples than this, all of them calibrate and all are measured."""


@dataclass(frozen=True)
class SplitWishes:
    """Caps on both parts (None: no cap), the share of one set that calibrates, the batch size and the seed.

    Attributes:
        trains: what calibrates is also trained on; the words say that.
        ranges: what takes ranges from samples: the network's quantizers, the repairs of a file that holds its ranges,
            or nothing, so that all samples are measured.
    """

    samples: int | None = None
    calib_samples: int = 128
    calib_share: float = 0.25
    batch_size: int = 16
    seed: int = 0
    trains: bool = False
    ranges: RangeUse = "all"

    @property
    def use(self) -> str:
        """Of the part that is not measured."""
        if self.ranges == "repairs":
            return FOR_REPAIRS
        return "to train on" if self.trains else "to calibrate"


def seeded_order(count: int, seed: int) -> list[int]:
    """The numbers 0 to count - 1 in an order that the seed decides, for ever and on every machine.

    Sorting by a hash rather than shuffling with a library's generator keeps old results comparable, and a larger cap
    only adds samples to those of a smaller one.
    """
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{seed}:{index}".encode()).digest())


def split_apart(
    measured: SampleSet, calibration: SampleSet, told_by: str, wishes: SplitWishes, *, same: bool = False
) -> Datasets:
    """Two sets that are told apart already; each is capped."""
    evaluation_indices = _capped(measured.sample_count, wishes.samples, wishes.seed)
    calibration_indices = seeded_order(calibration.sample_count, wishes.seed)[: wishes.calib_samples]
    if wishes.ranges == "none":
        seed = f", seed {wishes.seed}" if len(evaluation_indices) < measured.sample_count else ""
        words = f"{told_by}: {_of(len(evaluation_indices), measured)} measured{seed}, {NONE_TO_CALIBRATE}"
        return _datasets(calibration, calibration_indices, measured, evaluation_indices, words, wishes)
    words = (
        f"{told_by}: {_of(len(calibration_indices), calibration)} {wishes.use}, "
        f"{_of(len(evaluation_indices), measured)} measured"
    )
    if len(calibration_indices) < calibration.sample_count or len(evaluation_indices) < measured.sample_count:
        words += f", seed {wishes.seed}"
    if same:
        own = "samples to train on" if wishes.trains else "calibration samples"
        words += f"; both from the same data, so {own} are measured too"
    return _datasets(calibration, calibration_indices, measured, evaluation_indices, words, wishes)


def split_one(samples: SampleSet, wishes: SplitWishes) -> Datasets:
    """One set: `calib_share` of it, and `calib_samples` at most, calibrates; the rest is measured, up to `samples`."""
    count = samples.sample_count
    order = seeded_order(count, wishes.seed)
    if wishes.ranges == "none":
        evaluation = _capped(count, wishes.samples, wishes.seed)
        seed = f", seed {wishes.seed}" if len(evaluation) < count else ""
        words = f"{_samples(len(evaluation), samples)} measured{seed}, {NONE_TO_CALIBRATE}"
        return _datasets(samples, order[: wishes.calib_samples], samples, evaluation, words, wishes)
    if count < _SHARED_BELOW:
        evaluation = _capped(count, wishes.samples, wishes.seed)
        calibration = order[: wishes.calib_samples]
        words = f"fewer than {_SHARED_BELOW} samples: {len(calibration)} of {count} {wishes.use} and "
        words += f"{len(evaluation)} of {count} measured, the same ones"
        return _datasets(samples, calibration, samples, evaluation, words, wishes)
    calib_count = max(1, min(wishes.calib_samples, int(count * wishes.calib_share)))
    rest = order[calib_count:]
    evaluation = sorted(rest[: wishes.samples])
    others = count_noun(len(evaluation), "other")
    words = f"{calib_count} of {count} samples {wishes.use}, {others} measured, seed {wishes.seed}"
    return _datasets(samples, order[:calib_count], samples, evaluation, words, wishes)


def split_stored(stored: StoredData, wishes: SplitWishes) -> Datasets:
    """The data's own split where it holds one, otherwise `split_one`."""
    if stored.calibration is not None:
        return split_apart(stored.samples, stored.calibration, stored.told_by, wishes)
    return split_one(stored.samples, wishes)


def _capped(count: int, cap: int | None, seed: int) -> list[int]:
    """All samples, or a random `cap` of them, in stored order."""
    return list(range(count)) if cap is None or cap >= count else sorted(seeded_order(count, seed)[:cap])


def _of(count: int, samples: SampleSet) -> str:
    if count != samples.sample_count:
        return f"{count} of {samples.sample_count}"
    return f"all {count}" if count > 1 else "the one sample"


def _samples(count: int, samples: SampleSet) -> str:
    """The same with the noun behind it."""
    of = _of(count, samples)
    return of if of.endswith("sample") else f"{of} samples"


def _datasets(
    calibration: SampleSet,
    calibration_indices: list[int],
    measured: SampleSet,
    measured_indices: list[int],
    words: str,
    wishes: SplitWishes,
) -> Datasets:
    # Calibration keeps the seeded order: a moving average should not see one class last.
    return Datasets(
        Selection(calibration, tuple(calibration_indices), wishes.batch_size),
        Selection(measured, tuple(measured_indices), wishes.batch_size),
        words,
        calibrates=wishes.ranges != "none",
    )
