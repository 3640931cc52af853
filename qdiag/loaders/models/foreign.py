"""Files and folders that are no model we can read: what they are, and what to do instead."""

from pathlib import Path

from qdiag.errors import LoadError
from qdiag.files.refusal import refusal
from qdiag.loaders.missing import MODELS_HINT, is_architecture_ref
from qdiag.loaders.models.file import ModelFile

_TENSORFLOW = "TensorFlow and Keras files are not read"
_TENSORFLOW_HINT = "convert the weights to PyTorch, save a state dict, and give the network with `arch`"

# (first bytes, at this offset, what it is, what to do)
_SIGNATURES: tuple[tuple[bytes, int, str, str], ...] = (
    (b"version https://git-lfs", 0, "this is a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"\x89HDF\r\n\x1a\n", 0, f"this is an HDF5 file: {_TENSORFLOW}", _TENSORFLOW_HINT),
    (b"\x08\x01\x12", 0, f"this is a TensorFlow SavedModel: {_TENSORFLOW}", _TENSORFLOW_HINT),
    (b"GGUF", 0, "GGUF files are not read", MODELS_HINT),
    (b"\x89PNG", 0, "this is a PNG image, not a model", "give images with `data`"),
    (b"\xff\xd8\xff", 0, "this is a JPEG image, not a model", "give images with `data`"),
    (b"\x93NUMPY", 0, "this is a NumPy array, not a model", "give arrays with `data`"),
    (b"\x1f\x8b", 0, "this is a gzip archive, not a model", "unpack it first"),
    (b"\xfd7zXZ", 0, "this is an xz archive, not a model", "unpack it first"),
    (b"ustar", 257, "this is a tar archive, not a model", "unpack it first; torch.save of before 2018 is not read"),
    (b"\x7fELF", 0, "this is a compiled library, not a model", MODELS_HINT),
)


def refuse_folder(path: Path) -> LoadError:
    """The error for a folder, with the model file in it if there is one."""
    if (path / "saved_model.pb").is_file():
        return LoadError(f"this is a TensorFlow SavedModel folder: {_TENSORFLOW}", at=str(path), hint=_TENSORFLOW_HINT)
    suffixes = {".safetensors", ".pt2", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".tflite"}
    try:
        found = sorted(entry.name for entry in path.iterdir() if entry.suffix in suffixes and entry.is_file())
    except OSError as error:
        return LoadError(f"the folder cannot be read: {refusal(error)}", at=str(path), hint=MODELS_HINT)
    hint = f"give a file in it, such as {path / found[0]}" if found else MODELS_HINT
    return LoadError("this is a folder, not a model file", at=str(path), hint=hint)


def refuse_file(file: ModelFile) -> LoadError:
    """The error for a file that no loader recognizes."""
    for start, offset, what, hint in _SIGNATURES:
        if file.head[offset : offset + len(start)] == start:
            return LoadError(what, at=file.at, hint=hint)
    if file.head.startswith(b"PK"):
        return _refuse_zip(file)
    if file.path.suffix == ".pb":
        return LoadError(f"this is a .pb file: {_TENSORFLOW}", at=file.at, hint=_TENSORFLOW_HINT)
    if _is_text(file.head):
        return _refuse_text(file)
    return LoadError(f"no known model format: it starts with {file.head[:8]!r}", at=file.at, hint=MODELS_HINT)


def _refuse_zip(file: ModelFile) -> LoadError:
    if not file.members:
        return LoadError("this is a zip archive cut short or damaged", at=file.at, hint="copy or save it again")
    if any(name.endswith(".npy") for name in file.members):
        return LoadError("this is an archive of NumPy arrays, not a model", at=file.at, hint="give arrays with `data`")
    if "model.weights.h5" in file.members:
        return LoadError(f"this is a Keras file: {_TENSORFLOW}", at=file.at, hint=_TENSORFLOW_HINT)
    if any(name.startswith(".data/extern_modules") for name in file.members):
        return LoadError("archives of torch.package are not read", at=file.at, hint=MODELS_HINT)
    return LoadError("this is a zip archive without a model in it", at=file.at, hint=MODELS_HINT)


def _refuse_text(file: ModelFile) -> LoadError:
    start = file.head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return LoadError("this is a web page, not a model", at=file.at, hint="the download went wrong; fetch it again")
    if file.path.suffix == ".py":
        reference = f"{file.path}:factory"
        return LoadError(
            "this is Python code, and the name of the factory is missing",
            at=file.at,
            hint=f"write {reference if is_architecture_ref(reference) else './file.py:factory'}",
        )
    return LoadError("this is a text file, not a model", at=file.at, hint=MODELS_HINT)


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of what was read
    return True
