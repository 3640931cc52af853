"""The package `onnx`, where it is installed."""

from typing import Any

from qdiag.errors import ConfigError


def onnx_package() -> Any:
    """The module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError("writing ONNX files needs the package onnx", hint="pip install 'qdiag[onnx]'") from error
    return onnx
