"""Paths that lead nowhere, found before anything large is imported."""

import difflib
from pathlib import Path

from qdiag.errors import DataError, LoadError
from qdiag.loaders.python_ref import is_python_ref

ZOO = "zoo:"
"""How a reference to a network of `qdiag.zoo` begins."""
MODELS_HINT = (
    "a model is a .pt2 of torch.export.save, TorchScript, a file of torch.save, .safetensors, .onnx, .tflite, "
    "./file.py:factory, package.module:factory or zoo:NAME"
)
DATA_HINT = "data is an image folder, arrays (.npz, .npy, .pt, .safetensors), or ./file.py:factory that yields batches"


def is_architecture_ref(reference: str) -> bool:
    """Whether `reference` names code that builds a network: `zoo:NAME`, `package.module:name`, `./file.py:name`."""
    return reference.startswith(ZOO) or is_python_ref(reference.partition("?")[0])


def check_model(reference: str) -> None:
    """Raises LoadError where neither a file nor code is named, with the nearest name in the folder."""
    path = Path(reference)
    if path.exists() or is_architecture_ref(reference):
        return
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    hint = f"did you mean {path.parent / close[0]}?" if close else MODELS_HINT
    raise LoadError("no such file", at=reference, hint=hint)


def check_data(reference: str) -> None:
    """Raises DataError where neither a file, a folder nor code is named."""
    if not Path(reference).exists() and not is_python_ref(reference):
        raise DataError("no such file or folder", at=reference, hint=DATA_HINT)
