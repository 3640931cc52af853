"""Boxes of images in a JSON file: by the name of the image, or as COCO writes them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from qdiag.errors import DataError
from qdiag.files.read import read_bytes
from qdiag.files.refusal import refusal

BOXES_FILE = "boxes.json"
BOXES_BYTES_MAX = 256 << 20
"""The annotations of COCO's validation images take 20 MB."""
_LABEL_MAX = 2**31 - 1
_SIMPLE_HINT = 'write {"image.jpg": [{"box": [x1, y1, x2, y2], "label": 3}]}, or give a file in COCO format'
_CORNERS_HINT = "a box is [x1, y1, x2, y2] in pixels of the stored image, from the left and the top"
_COCO_HINT = "each annotation needs image_id, bbox [x, y, width, height] and category_id"

Entry = dict[str, torch.Tensor]


def read_boxes(path: Path, images: Sequence[str]) -> list[Entry]:
    """Boxes (M, 4) float32 with the corners x1, y1, x2, y2 in pixels of the stored image, and labels (M,) int64, of
    every image; from a COCO file also `iscrowd` (M,). Class numbers are those of the file.

    Raises:
        DataError: no such JSON, a box that is none, or an image that the file does not know, by name.
    """
    content = _content(path)
    is_coco = isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)
    known = _coco(content, path) if is_coco else content
    names: dict[str, list[str]] = {}
    for name in known:
        names.setdefault(PurePosixPath(name).name, []).append(name)
    return [_boxes(known, names, image, path, is_coco) for image in images]


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path, BOXES_BYTES_MAX).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read as JSON: {refusal(error)}", at=str(path), hint=_SIMPLE_HINT) from error
    if not isinstance(content, dict):
        raise DataError(f"it holds a {type(content).__name__}, no object", at=str(path), hint=_SIMPLE_HINT)
    return content


def _boxes(known: Mapping[str, Any], names: Mapping[str, list[str]], image: str, path: Path, is_coco: bool) -> Entry:
    same = names.get(PurePosixPath(image).name, [])
    name = image if image in known else same[0] if len(same) == 1 else None
    if name is None:
        raise DataError(
            f"{'it lists no image' if not same else 'it lists several images'} {image}",
            at=str(path),
            hint="list every image; one without boxes has an empty list",
        )
    entries = known[name]
    at = f"{path}, {name}"
    if not isinstance(entries, list):
        raise DataError(f"its boxes are a {type(entries).__name__}, no list", at=at, hint=_SIMPLE_HINT)
    rows = [_row(entry, f"{at}, box {number}", is_coco) for number, entry in enumerate(entries)]
    found = {
        "boxes": torch.tensor([box for box, _, _ in rows], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
    }
    return found | {"iscrowd": torch.tensor([crowd for *_, crowd in rows], dtype=torch.int64)} if is_coco else found


def _row(entry: Any, at: str, is_coco: bool) -> tuple[list[float], int, int]:
    """Corners, class number, and whether it is a crowd."""
    hint = _COCO_HINT if is_coco else _SIMPLE_HINT
    if not isinstance(entry, dict):
        raise DataError(f"it is a {type(entry).__name__}, no object", at=at, hint=hint)
    key, label_key = ("bbox", "category_id") if is_coco else ("box", "label")
    for name in (key, label_key):
        if name not in entry:
            raise DataError(f"it has no {name}", at=at, hint=hint)
    box, label = entry[key], entry[label_key]
    if not isinstance(box, list) or len(box) != 4 or not all(_is_finite(value) for value in box):
        raise DataError(f"{key} {_shown(box)} is not four numbers", at=at, hint=hint if is_coco else _CORNERS_HINT)
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label <= _LABEL_MAX:
        raise DataError(f"{label_key} {_shown(label)} is no class number", at=at, hint="class numbers start at 0")
    x, y, right, bottom = map(float, box)
    if is_coco:
        if right < 0 or bottom < 0:
            raise DataError(f"{key} {_shown(box)} has a negative size", at=at, hint=hint)
        return [x, y, x + right, y + bottom], label, int(bool(entry.get("iscrowd")))
    if right < x or bottom < y:
        raise DataError(
            f"{key} {_shown(box)} ends before it begins",
            at=at,
            hint=f"{_CORNERS_HINT}; boxes of x, y, width and height need a file in COCO format",
        )
    return [x, y, right, bottom], label, 0


def _coco(content: Mapping[str, Any], path: Path) -> dict[str, list[Any]]:
    """Annotations by the name of their image."""
    by_id: dict[Any, list[Any]] = {}
    found: dict[str, list[Any]] = {}
    for number, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or not _is_id(image.get("id")):
            raise DataError(
                "an image without file_name and id", at=f"{path}, image {number}", hint="COCO files give both"
            )
        found[image["file_name"]] = by_id[image["id"]] = []
    for number, entry in enumerate(content["annotations"]):
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if not _is_id(image_id) or image_id not in by_id:
            raise DataError(
                f"image_id {_shown(image_id)} belongs to no image", at=f"{path}, annotation {number}", hint=_COCO_HINT
            )
        by_id[image_id].append(entry)
    return found


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _shown(value: Any) -> str:
    return repr(value)[:60]
