"""A folder of images: with `labels.csv`, masks or boxes, with one sub-folder per class, or flat without labels."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.images.images import SUFFIXES, ImageSamples
from qdiag.loaders.images.labels_csv import LABELS_FILE, labels_of, read_labels_csv
from qdiag.loaders.images.targets_path import IMAGES_FOLDER, MASKS_FOLDER, targets_path
from qdiag.loaders.missing import SOUNDS_HINT
from qdiag.loaders.targets.boxes import read_boxes
from qdiag.loaders.targets.masks import mask_files

_SOUNDS = (".wav", ".flac", ".mp3", ".ogg")
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
        raise DataError("there is no permission to read it", at=str(error.filename or path)) from error


def _read(path: Path, reading: Reading) -> StoredData:
    if (path / LABELS_FILE).is_file():
        return _from_labels_csv(path, reading)
    if all((path / name).is_dir() for name in _SPLIT_FOLDERS) and _folders(path) == list(_SPLIT_FOLDERS):
        calibration, evaluation = (_unsplit(path / name, _of_part(reading, name)) for name in _SPLIT_FOLDERS)
        return StoredData(evaluation, calibration, told_by="folders calib and eval")
    return StoredData(_unsplit(path, reading))


def _of_part(reading: Reading, name: str) -> Reading:
    """Masks that are divided as the images are."""
    is_divided = reading.targets is not None and (Path(reading.targets) / name).is_dir()
    return replace(reading, targets=str(Path(reading.targets or "") / name)) if is_divided else reading


def _from_labels_csv(path: Path, reading: Reading) -> StoredData:
    rows = read_labels_csv(path / LABELS_FILE)
    # what the table says counts, unless the user gave something else
    targets = targets_path(path, reading) if rows[0].label is None or reading.targets is not None else None

    def samples(split: str | None) -> ImageSamples:
        chosen = [row for row in rows if split is None or row.split == split]
        return _samples(path, [row.file for row in chosen], labels_of(chosen), targets, reading)

    if {row.split for row in rows} == set(_SPLIT_FOLDERS):
        return StoredData(samples("eval"), samples("calib"), told_by=f"the split column of {LABELS_FILE}")
    return StoredData(samples(None))


def _unsplit(path: Path, reading: Reading) -> ImageSamples:
    flat = _images(path)
    may_have_masks = bool(flat) or (path / IMAGES_FOLDER).is_dir()
    targets = targets_path(path, reading, may_have_masks=may_have_masks)
    no_classes = {(path / MASKS_FOLDER).resolve()} if may_have_masks else set()
    no_classes |= {targets.resolve()} if targets is not None else set()
    classes = [name for name in _folders(path) if (path / name).resolve() not in no_classes]
    if flat and classes and any(_images(path / name) for name in classes):
        raise DataError(
            f"there are images beside sub-folders with images ({flat[0]}, {classes[0]}/)",
            at=str(path),
            hint="keep either one sub-folder per class or one flat folder, or add labels.csv",
        )
    if flat:
        return _samples(path, flat, None, targets, reading)
    if targets is not None and IMAGES_FOLDER in classes:
        classes = [IMAGES_FOLDER]
    files = [(f"{name}/{file}", index) for index, name in enumerate(classes) for file in _images(path / name)]
    if not files:
        _refuse_empty(path, classes)
    if targets is None:
        _check_numbered(path, classes)
    labels = torch.tensor([label for _, label in files])
    return _samples(path, [file for file, _ in files], labels, targets, reading)


def _samples(path: Path, files: Sequence[str], labels: Any, targets: Path | None, reading: Reading) -> ImageSamples:
    """Images with the masks or boxes of `targets`, without these with `labels`."""
    how = reading.image_preprocessing()
    if targets is None:
        is_table_without = labels is None and (path / LABELS_FILE).is_file()
        source = f"{path} (no column label, target or text in {LABELS_FILE})" if is_table_without else str(path)
        return ImageSamples(source, path, tuple(files), labels, how)
    source = f"{path} (targets: {targets})"
    if targets.is_dir():
        return ImageSamples(source, path, tuple(files), None, how, mask_files(targets, files))
    return ImageSamples(source, path, tuple(files), read_boxes(targets, files), how)


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
    elif any(entry.suffix.lower() in _SOUNDS for entry in path.iterdir()):
        hint = f"sound files are not read: {SOUNDS_HINT}"
    else:
        hint = f"images end in {', '.join(sorted(SUFFIXES))}"
    raise DataError("there are no images in this folder", at=str(path), hint=hint)


READER = Reader("image folder", matches, read)
