"""Python objects as a set that calibrates and a set that is measured."""

from qdiag.batches import Datasets
from qdiag.loaders.data.objects import samples_of
from qdiag.loaders.data.split import SplitWishes, split_apart, split_one


def datasets_from(
    data: object, calib_data: object | None = None, *, samples: int | None = None, batch_size: int = 16
) -> Datasets:
    """`data` divided as data of one file are, or measured whole where `calib_data` is given apart."""
    wishes = SplitWishes(samples, batch_size=batch_size)
    if calib_data is None:
        return split_one(samples_of(data), wishes)
    return split_apart(samples_of(data), samples_of(calib_data), "calibration data given apart", wishes)
