"""Which runtime runs a file, and whether it is installed, told before anything large is imported."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, TypeAlias

from qdiag.errors import ConfigError, LoadError

Encoding: TypeAlias = Literal["ONNX", "LiteRT"]
ENCODINGS: Mapping[str, Encoding] = {".onnx": "ONNX", ".tflite": "LiteRT"}
"""By the suffix of a file that is written."""
RUNTIMES: Mapping[Encoding, str] = {"ONNX": "ort", "LiteRT": "xnnpack"}
"""What runs a file where nobody says otherwise."""
_LITERT = {"ai_edge_litert": "ai-edge-litert", "flatbuffers": "flatbuffers"}
_READS: Mapping[Encoding, Mapping[str, str]] = {"ONNX": {"onnx": "onnx", "onnx_ir": "onnx-ir"}, "LiteRT": _LITERT}
"""Modules, and the packages that bring them."""
_WRITES: Mapping[Encoding, Mapping[str, str]] = {"ONNX": {"onnx": "onnx"}, "LiteRT": _LITERT}
_RUNS: Mapping[Encoding, Mapping[str, str]] = {
    "ONNX": {"onnx": "onnx", "onnxruntime": "onnxruntime"},
    "LiteRT": {"ai_edge_litert": "ai-edge-litert"},
}
_FILES_HINT: Mapping[Encoding, str] = {"ONNX": "pip install 'qdiag[onnx]'", "LiteRT": "pip install 'qdiag[litert]'"}
_RUNTIME_HINT: Mapping[Encoding, str] = {**_FILES_HINT, "ONNX": "pip install 'qdiag[onnx,ort]'"}


def written_encoding(path: str) -> Encoding:
    """The format that a name ends in.

    Raises:
        ConfigError: none does.
    """
    for suffix, found in ENCODINGS.items():
        if path.lower().endswith(suffix):
            return found
    endings = " or ".join(ENCODINGS)
    raise ConfigError("the name says no format of integer files", at=path, hint=f"end the name in {endings}")


def encoding_for(runtime: str) -> Encoding:
    """What a runtime runs."""
    return "ONNX" if runtime == "ort" else "LiteRT"


def check_reader(encoding: Encoding, at: str) -> None:
    """Raises `LoadError` where a package that reads the format is not installed."""
    package = _missing(_READS[encoding])
    if package is not None:
        raise LoadError(f"reading {encoding} files needs the package {package}", at=at, hint=_FILES_HINT[encoding])


def check_writer(encoding: Encoding) -> None:
    """Raises `ConfigError` where a package that writes the format is not installed."""
    package = _missing(_WRITES[encoding])
    if package is not None:
        raise ConfigError(f"writing {encoding} files needs the package {package}", hint=_FILES_HINT[encoding])


def check_runtime(encoding: Encoding) -> None:
    """Raises `LoadError` where the runtime of the format is not installed."""
    package = _missing(_RUNS[encoding])
    if package is not None:
        raise LoadError(f"running the file needs the package {package}", hint=_RUNTIME_HINT[encoding])


def _missing(modules: Mapping[str, str]) -> str | None:
    """The package of the first module that cannot be imported; none is imported."""
    return next((package for module, package in modules.items() if not _is_there(module)), None)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # something else stands in its place
        return False
