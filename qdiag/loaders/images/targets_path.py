"""Where the targets of a folder of images are: what the user gave, else `masks` or `boxes.json` beside the images."""

from pathlib import Path

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.targets.boxes import BOXES_FILE

IMAGES_FOLDER = "images"
MASKS_FOLDER = "masks"
_HINT = "give a folder of masks named as the images, or a .json file with their boxes"


def targets_path(path: Path, reading: Reading, *, may_have_masks: bool = True) -> Path | None:
    """The folder of masks or the file of boxes that belongs to the images of a folder; None where there is none.

    Args:
        may_have_masks: a folder called `masks` holds masks; otherwise it is a class.

    Raises:
        DataError: what the user gave is neither, or both lie beside the images.
    """
    if reading.targets is not None:
        given = Path(reading.targets)
        if not given.exists():
            raise DataError("there is no such file or folder", at=reading.targets, hint=_HINT)
        if not given.is_dir() and given.suffix.lower() != ".json":
            raise DataError("targets of images are a folder or a .json file", at=reading.targets, hint=_HINT)
        return given
    masks, boxes = path / MASKS_FOLDER, path / BOXES_FILE
    has_masks = may_have_masks and masks.is_dir()
    if has_masks and boxes.is_file():
        raise DataError(f"both {MASKS_FOLDER} and {BOXES_FILE} could be the targets", at=str(path), hint="keep one")
    return masks if has_masks else boxes if boxes.is_file() else None
