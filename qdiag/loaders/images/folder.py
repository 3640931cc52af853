"""A folder of images: with `labels.csv`, with one sub-folder per class, or flat without labels."""

import itertools
from pathlib import Path

import torch

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.images.images import SUFFIXES, ImageSamples
from qdiag.loaders.images.labels_csv import LABELS_FILE, read_labels_csv

_SPLIT_FOLDERS = ("calib", "eval")


def matches(path: Path) -> bool:
    """Any folder."""
    return path.is_dir()


def read(path: Path, reading: Reading) -> StoredData:
    """The images of a folder; none is opened yet.

    Raises:
        DataError: no images, or no unmistakable way to number the classes.
    """
    try:
        return _read(path, reading)
    except PermissionError as error:
        raise DataError("no permission to read it", at=str(error.filename or path)) from error


def _read(path: Path, reading: Reading) -> StoredData:
    if (path / LABELS_FILE).is_file():
        return _from_labels_csv(path, reading)
    if all((path / name).is_dir() for name in _SPLIT_FOLDERS) and _folders(path) == list(_SPLIT_FOLDERS):
        calibration, evaluation = (_unsplit(path / name, reading) for name in _SPLIT_FOLDERS)
        return StoredData(evaluation, calibration, told_by="folders calib and eval")
    return StoredData(_unsplit(path, reading))


def _from_labels_csv(path: Path, reading: Reading) -> StoredData:
    rows = read_labels_csv(path / LABELS_FILE)
    how = reading.image_preprocessing()

    def samples(split: str | None) -> ImageSamples:
        chosen = [row for row in rows if split is None or row.split == split]
        labels = torch.tensor([row.label for row in chosen]) if chosen[0].label is not None else None
        return ImageSamples(str(path), path, tuple(row.file for row in chosen), labels, how)

    if {row.split for row in rows} == set(_SPLIT_FOLDERS):
        return StoredData(samples("eval"), samples("calib"), told_by=f"the split column of {LABELS_FILE}")
    return StoredData(samples(None))


def _unsplit(path: Path, reading: Reading) -> ImageSamples:
    classes = _folders(path)
    flat = _images(path)
    how = reading.image_preprocessing()
    if flat and classes and any(_images(path / name) for name in classes):
        raise DataError(
            f"there are images beside sub-folders with images ({flat[0]}, {classes[0]}/)",
            at=str(path),
            hint="keep either one sub-folder per class or one flat folder, or add labels.csv",
        )
    if flat:
        return ImageSamples(str(path), path, tuple(flat), None, how)
    files = [(f"{name}/{file}", index) for index, name in enumerate(classes) for file in _images(path / name)]
    if not files:
        _refuse_empty(path, classes)
    _check_numbered(path, classes)
    labels = torch.tensor([label for _, label in files])
    return ImageSamples(str(path), path, tuple(file for file, _ in files), labels, how)


def _folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(path: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in path.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def _check_numbered(path: Path, classes: list[str]) -> None:
    """Class numbers are positions in the sorted names, against which folders 0, 1, 10, 2 would speak."""
    if not all(name.isdecimal() for name in classes) or classes == sorted(classes, key=int):
        return
    first, second = next(pair for pair in itertools.pairwise(classes) if int(pair[0]) > int(pair[1]))
    raise DataError(
        f"class folders are numbered, but sorted by name {first} comes before {second}",
        at=str(path),
        hint="pad the names with zeros (002, 010), or give the classes in labels.csv",
    )


def _refuse_empty(path: Path, folders: list[str]) -> None:
    deeper = next((f"{name}/{inner}" for name in folders for inner in _folders(path / name)), None)
    if deeper is not None:
        hint = f"the images may lie deeper ({deeper}/): give the folder above them"
    else:
        hint = f"images end in {', '.join(sorted(SUFFIXES))}"
    raise DataError("no images in this folder", at=str(path), hint=hint)


READER = Reader("image folder", matches, read)
