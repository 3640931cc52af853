"""`labels.csv` beside images: columns `file`, `label` and, if wanted, `split`."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from qdiag.errors import DataError
from qdiag.files.read import TABLE_BYTES_MAX, read_bytes

LABELS_FILE = "labels.csv"
_LABEL_MAX = 2**31 - 1
_SPLITS = ("calib", "eval")


@dataclass(frozen=True)
class LabelRow:
    """One image: its path below the folder, its class number, and `calib` or `eval`."""

    file: str
    label: int | None
    split: str | None


def read_labels_csv(path: Path) -> list[LabelRow]:
    """The rows in order; further columns are ignored.

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
                    f"no column named file among {', '.join(columns) or 'none'}",
                    at=str(path),
                    hint="the columns are file,label and, if wanted, split (calib or eval)",
                )
            rows = [_row(fields, f"{path}, line {reader.line_num}") for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"it cannot be read: {error}", at=str(path), hint="write it as UTF-8 text") from error
    if not rows:
        raise DataError("it lists no images", at=str(path), hint="one line per image: file,label")
    if len({row.file for row in rows}) != len(rows):
        twice = next(row.file for i, row in enumerate(rows) if any(row.file == other.file for other in rows[:i]))
        raise DataError(f"{twice} is listed twice", at=str(path), hint="list each image once")
    return rows


def _row(fields: dict[str, str | None], at: str) -> LabelRow:
    file = (fields["file"] or "").strip()
    if not file:
        raise DataError("no file is named", at=at)
    if PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise DataError(f"{file} lies outside the folder", at=at, hint="paths start at the folder of labels.csv")
    return LabelRow(file, _label(fields, at), _split(fields, at))


def _label(fields: dict[str, str | None], at: str) -> int | None:
    if "label" not in fields:
        return None
    text = (fields["label"] or "").strip()
    try:
        label = int(text)
    except ValueError:
        raise DataError(f"label {text[:60]!r} is not a whole number", at=at, hint="class numbers start at 0") from None
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
