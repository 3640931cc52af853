"""Paths that lead nowhere, found before anything large is imported."""

from collections.abc import Collection
from pathlib import Path

from qdiag.core.nearest import nearest
from qdiag.errors import DataError, LoadError
from qdiag.loaders.python_ref import is_python_ref

ZOO = "zoo:"
"""How a reference to a network of `qdiag.zoo` begins."""
MODELS_HINT = (
    "a model is a .pt2 of torch.export.save, TorchScript, a file of torch.save, .safetensors, .onnx, .tflite, "
    "./file.py:factory, package.module:factory or zoo:NAME"
)
_MODEL_SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".ckpt", ".bin", ".safetensors", ".onnx", ".tflite")
DATA_HINT = "data is an image folder, arrays (.npz, .npy, .pt, .safetensors), or ./file.py:factory that yields batches"


SOUNDS_HINT = "make features of them with a function: ./file.py:factory yields batches of what the network takes"


def is_architecture_ref(reference: str) -> bool:
    """Whether `reference` names code that builds a network: `zoo:NAME`, `package.module:name`, `./file.py:name`."""
    return reference.startswith(ZOO) or is_python_ref(reference.partition("?")[0])


def check_model(reference: str) -> None:
    """Raises LoadError where neither a file nor code is named, with the nearest name in the folder."""
    path = Path(reference)
    if path.exists() or is_architecture_ref(reference):
        return
    raise LoadError("there is no such file", at=reference, hint=_near_hint(path, MODELS_HINT, among=_MODEL_SUFFIXES))


def check_data(reference: str) -> None:
    """Raises DataError where neither a file, a folder nor code is named."""
    if not reference.strip():
        raise DataError("the path of the data is empty", at="`data`", hint=DATA_HINT)
    if not Path(reference).exists() and not is_python_ref(reference):
        raise DataError("there is no such file or folder", at=reference, hint=_near_hint(Path(reference), DATA_HINT))


def _near_hint(path: Path, otherwise: str, among: Collection[str] = ()) -> str:
    """A file beside it that is spelled nearly so, the ending apart; or that has the same name and another ending.

    Args:
        among: endings that files may have; any by default.
    """
    try:
        beside = [entry for entry in path.parent.iterdir() if not among or entry.suffix in among]
    except OSError:
        beside = []
    stems = {entry.stem: entry for entry in beside if path.suffix == entry.suffix or path.stem == entry.stem}
    near = nearest(path.stem, sorted(stems))
    return f"did you mean {stems[near[0]]}?" if near else otherwise
