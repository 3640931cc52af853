"""`labels.csv` beside images: columns `file`, what an image is judged by, and, if wanted, `split`."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch

from qdiag.errors import DataError
from qdiag.files.read import TABLE_BYTES_MAX, read_bytes
from qdiag.files.refusal import refusal

LABELS_FILE = "labels.csv"
_LABEL_MAX = 2**31 - 1
_SPLITS = ("calib", "eval")


@dataclass(frozen=True)
class LabelRow:
    """One image: its path below the folder, its class number, floats or text, and `calib` or `eval`."""

    file: str
    label: int | tuple[float, ...] | str | None
    split: str | None


def labels_of(rows: Sequence[LabelRow]) -> Any:
    """Labels of all rows in a form of `qdiag.targets`: class numbers (N,), floats (N,) or (N, columns), or texts."""
    first = rows[0].label
    if first is None or isinstance(first, str):
        return None if first is None else [row.label for row in rows]
    values = torch.tensor([row.label for row in rows])
    return values[:, 0] if isinstance(first, tuple) and len(first) == 1 else values


def read_labels_csv(path: Path) -> list[LabelRow]:
    """The rows in order. A column `label` holds class numbers, `target` and `target_...` floats, `text` texts; further
    columns are ignored. Without any of these, further columns are floats if all of them hold numbers in the first row.

    Raises:
        DataError: naming the line that cannot be used.
    """
    try:
        with io.StringIO(read_bytes(path, TABLE_BYTES_MAX).decode("utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            if "file" not in columns:
                raise DataError(
                    f"no column named file among {', '.join(columns)}" if columns else "the file is empty",
                    at=str(path),
                    hint="the columns are file,label and, if wanted, split (calib or eval)",
                )
            lines = [(fields, reader.line_num) for fields in reader]
            wanted = _label_columns(columns, lines[0][0] if lines else {}, path)
            rows = [_row(fields, wanted, f"{path}, line {number}") for fields, number in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"it cannot be read: {_why(error)}", at=str(path), hint="write it as UTF-8 text") from error
    if not rows:
        raise DataError("it lists no images", at=str(path), hint="one line per image: file,label")
    if len({row.file for row in rows}) != len(rows):
        twice = next(row.file for i, row in enumerate(rows) if any(row.file == other.file for other in rows[:i]))
        raise DataError(f"{twice} is listed twice", at=str(path), hint="list each image once")
    return rows


def _label_columns(columns: Sequence[str], first: Mapping[str, str | None], path: Path) -> list[str]:
    """The columns that images are judged by: `label` if there is one, else those of floats, or that of texts."""
    if "label" in columns:
        return ["label"]
    floats = [name for name in columns if name == "target" or name.startswith("target_")]
    if floats and "text" in columns:
        raise DataError(f"both {floats[0]} and text could be the labels", at=str(path), hint="keep one of them")
    if floats or "text" in columns:
        return floats or ["text"]
    others = [name for name in columns if name not in ("file", "split")]
    return others if all(_is_number(first.get(name)) for name in others) else []


def _is_number(text: str | None) -> bool:
    try:
        return math.isfinite(float(text or ""))
    except ValueError:
        return False


def _why(error: Exception) -> str:
    return "it is no table of values between commas" if isinstance(error, csv.Error) else refusal(error)


def _row(fields: dict[str, str | None], wanted: Sequence[str], at: str) -> LabelRow:
    file = (fields["file"] or "").strip()
    if not file:
        raise DataError("no file is named", at=at, hint="write the path of an image into the column file")
    if PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise DataError(f"{file} lies outside the folder", at=at, hint="paths start at the folder of labels.csv")
    return LabelRow(file, _label(fields, wanted, at), _split(fields, at))


def _label(fields: dict[str, str | None], wanted: Sequence[str], at: str) -> int | tuple[float, ...] | str | None:
    if not wanted:
        return None
    if wanted[0] == "label":
        return _class_number((fields["label"] or "").strip(), at)
    if wanted[0] == "text":
        return fields["text"] or ""
    return tuple(_float(name, (fields[name] or "").strip(), at) for name in wanted)


def _float(name: str, text: str, at: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{name} {text[:60]!r} is no finite number", at=at, hint="every image needs a number here")
    return value


def _class_number(text: str, at: str) -> int:
    try:
        label = int(text)
    except ValueError:
        raise DataError(
            f"label {text[:60]!r} is not a whole number" if text else "the image has no label",
            at=at,
            hint="class numbers start at 0; call a column of floats target, and a column of texts text",
        ) from None
    if label > _LABEL_MAX:
        raise DataError(f"label {text[:30]} is larger than {_LABEL_MAX}", at=at, hint="class numbers start at 0")
    if label < 0:
        raise DataError(f"label {label} is negative", at=at, hint="class numbers start at 0")
    return label


def _split(fields: dict[str, str | None], at: str) -> str | None:
    if "split" not in fields:
        return None
    split = (fields["split"] or "").strip()
    if split not in _SPLITS:
        raise DataError(f"split {split!r} is neither calib nor eval", at=at, hint="write calib or eval")
    return split
