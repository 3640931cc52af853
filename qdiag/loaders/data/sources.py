"""The door to data: `--data` and `--calib-data`, or Python objects, as `Datasets`."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from qdiag.batches import Batches, Datasets
from qdiag.errors import ConfigError, DataError
from qdiag.files.read import check_regular, open_regular
from qdiag.files.refusal import refusal
from qdiag.loaders.archive import zip_names
from qdiag.loaders.data import factory as data_factory
from qdiag.loaders.data import npy as data_npy
from qdiag.loaders.data import npz as data_npz
from qdiag.loaders.data import safetensors as data_safetensors
from qdiag.loaders.data import torch_file as data_torch
from qdiag.loaders.data.checks import check_batch, check_labels
from qdiag.loaders.data.objects import samples_of
from qdiag.loaders.data.samples import Reader, Reading, Selection, StoredData
from qdiag.loaders.data.split import RangeUse, SplitWishes, split_apart, split_stored
from qdiag.loaders.images import folder as data_folder
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.loaders.missing import DATA_HINT, SOUNDS_HINT, check_data

_AGAIN = "copy or write it again"
READERS: tuple[Reader, ...] = (
    data_folder.READER,
    data_npz.READER,
    data_npy.READER,
    data_safetensors.READER,
    data_torch.READER,
)
"""Formats, told by content, the stricter marks first. A new one is one file and one line here."""


@dataclass(frozen=True)
class DataRequest:
    """What the user asked for.

    Attributes:
        data, calib_data: paths, or references `./file.py:factory`; without `calib_data`, one set is divided.
        targets: of a folder of images: a folder of masks, or a .json file with boxes.
        preprocessing: None: pixels are divided by 255, other values are taken as stored.
        samples: at most this many are measured. calib_samples: at most this many calibrate.
        calib_share: of one set that is divided, the part that calibrates.
        input_shape: of the network's first input, batch axis first, when known.
        class_count: outputs of the network, when known; labels must lie below it.
        trains: what calibrates is also trained on.
        ranges: see `SplitWishes`.
    """

    data: str
    calib_data: str | None = None
    targets: str | None = None
    preprocessing: Preprocessing | None = None
    samples: int | None = None
    calib_samples: int = 128
    calib_share: float = 0.25
    batch_size: int = 16
    seed: int = 0
    input_shape: tuple[int, ...] | None = None
    class_count: int | None = None
    trains: bool = False
    ranges: RangeUse = "all"

    def __post_init__(self) -> None:
        for name, value in (
            ("samples", self.samples),
            ("calib_samples", self.calib_samples),
            ("batch_size", self.batch_size),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"{name} = {value} is too small", hint="use at least 1")

    @property
    def wishes(self) -> SplitWishes:
        counts = (self.samples, self.calib_samples, self.calib_share)
        return SplitWishes(*counts, self.batch_size, self.seed, self.trains, self.ranges)


def open_datasets(request: DataRequest) -> Datasets:
    """Finds the samples, divides them and checks the first one of each part; nothing else is decoded yet.

    Raises:
        DataError: data that cannot be read or used, naming the file, the array or the sample.
    """
    reading = Reading(request.preprocessing, request.input_shape)
    if request.targets is not None and not Path(request.data).is_dir():
        raise DataError(
            "the data are no folder of images, to which targets could be given apart",
            at=request.targets,
            hint="store the targets in the file of the data, or yield them with the inputs",
        )
    stored = read_stored(request.data, replace(reading, targets=request.targets))
    if request.calib_data is None:
        datasets = split_stored(stored, request.wishes)
    else:
        apart = read_stored(request.calib_data, reading)
        datasets = split_apart(
            stored.samples,
            apart.calibration or apart.samples,
            f"{'training' if request.trains else 'calibration'} data given apart",
            request.wishes,
            same=request.calib_data == request.data and apart.calibration is None,
        )
    for part in (datasets.calibration, datasets.evaluation):
        _check_first(part, request)
    return datasets


def read_stored(reference: str, reading: Reading) -> StoredData:
    """The samples behind a path or a factory reference.

    Raises:
        DataError: there is nothing, or nothing that a reader knows.
    """
    path = Path(reference)
    if not path.exists():
        if data_factory.matches(reference):
            return data_factory.read(reference, reading)
        check_data(reference)
    _check_readable(path)
    for reader in READERS:
        if reader.matches(path):
            return reader.read(path, reading)
    raise _unknown(path)


def batches_from(data: object, batch_size: int = 16, source: str | None = None) -> Batches:
    """All samples of a Python object, in their order.

    Args:
        data: a tensor (N, ...); a pair (tensor, labels); a map-style Dataset; or batches: a list, a DataLoader,
            anything that can be iterated again and again, or a function that returns a fresh iterable. A batch is
            a tensor, a pair (inputs, labels), a dictionary of inputs by name, or a `Batch`.
        batch_size: for tensors and Datasets; other data come in batches already.
        source: what to call it in messages.

    Raises:
        DataError: a generator (it could be gone through only once), or samples that cannot be used.
    """
    found = samples_of(data, source)
    return Selection(found, tuple(range(found.sample_count)), batch_size)


def _check_first(part: Batches, request: DataRequest) -> None:
    assert isinstance(part, Selection)
    samples, indices = part.samples, part.indices
    if isinstance(samples.labels, Tensor) and request.class_count is not None:
        check_labels(samples.labels, request.class_count, at=part.source, name=samples.name)
    first = next(iter(samples.batches(indices[:1], 1)))
    if request.input_shape is not None:
        check_batch(first, request.input_shape, at=part.source)


def _check_readable(path: Path) -> None:
    try:
        if not path.is_dir():
            check_regular(path)
    except OSError as error:
        raise DataError(f"it cannot be opened: {refusal(error)}", at=str(path)) from error


def _unknown(path: Path) -> DataError:
    """What a file is that no reader takes."""
    with open_regular(path) as file:
        start = file.read(4)
    at = str(path)
    if not start:
        return DataError("the file is empty", at=at, hint=_AGAIN)
    if start[:2] == b"PK" and zip_names(path):
        return DataError("this archive holds no arrays", at=at, hint=DATA_HINT)
    if start == b"PK\x03\x04":
        return DataError("this archive is cut short or damaged", at=at, hint=_AGAIN)
    if start == b"PK\x05\x06":
        return DataError("this archive is empty", at=at, hint=_AGAIN)
    if start == b"RIFF":
        return DataError("sound files are not read", at=at, hint=SOUNDS_HINT)
    return DataError(f"these data have no known format: the file starts with {start!r}", at=at, hint=DATA_HINT)
