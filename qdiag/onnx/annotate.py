"""Words at the nodes of an ONNX file, which Netron shows beside their attributes; the network is as it was."""

from collections.abc import Mapping
from typing import Any

from qdiag.errors import ConfigError, LoadError
from qdiag.onnx.read import INSTALL_HINT

PREFIX = "qdiag "


def annotated(content: bytes, words: Mapping[str, Mapping[str, str]], at: str) -> tuple[bytes, tuple[str, ...]]:
    """The file with `metadata_props` at its nodes, and the names that no node has.

    Args:
        content: of an ONNX file. Words that an earlier run left are replaced.
        words: by name of a node, or of its first output, label and text.
        at: the file, for errors.

    Raises:
        LoadError: the file cannot be read, or `onnx` is not installed.
        ConfigError: none of the names is one of this network.
    """
    try:
        import onnx
    except ImportError as error:
        raise LoadError("writing to ONNX files needs the package onnx", at=at, hint=INSTALL_HINT) from error
    try:
        proto: Any = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf raises what it likes on damaged files
        raise LoadError("the ONNX file is damaged and cannot be read", at=at) from error
    left = dict(words)
    for node in proto.graph.node:
        kept = [prop for prop in node.metadata_props if not prop.key.startswith(PREFIX)]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        name = next((name for name in (node.name, *node.output) if name in words), None)
        if name is not None:
            for label, text in words[name].items():
                node.metadata_props.add(key=f"{PREFIX}{label}", value=text)
            left.pop(name, None)
    if len(left) == len(words):
        raise ConfigError(
            "no node of this network has the name of a layer of the diagnosis",
            at=at,
            hint="give the file that was diagnosed",
        )
    written: bytes = proto.SerializeToString(deterministic=True)
    return written, tuple(left)
