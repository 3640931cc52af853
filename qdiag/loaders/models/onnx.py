"""`.onnx`: a protocol buffer with a network, which is data; nothing in it runs."""

from qdiag.errors import LoadError
from qdiag.files.read import open_regular
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.probe import probe

_BYTES_MAX = 2 << 30
"""A protocol buffer cannot be larger."""


def matches(file: ModelFile) -> bool:
    """A ModelProto: field 1 (ir_version, 3 or more today) as varint, then one of its other fields."""
    head, fields = file.head, b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
    return len(head) > 2 and head[0] == 0x08 and 2 <= head[1] <= 0x20 and head[2] in fields


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through `onnx-ir`, after a first reading in a child process.

    Raises:
        LoadError: a damaged file, tensors that are not there, operators that are not known, or a network that is
            quantized already.
    """
    from qdiag.onnx.load import load_network

    if file.byte_count > _BYTES_MAX:
        raise LoadError(
            f"the file has {file.byte_count >> 20} MiB, and a protocol buffer at most {_BYTES_MAX >> 20}",
            at=file.at,
            hint="save the network with its tensors in a file beside it",
        )
    with open_regular(file.path) as stream:
        content = stream.read()
    probe(lambda: load_network(content, file.at), byte_count=file.byte_count, at=file.at)
    network = load_network(content, file.at)
    refuse_arch(file, options, "ONNX")
    return LoadedModel(network, "onnx", "ONNX")


LOADER = ModelLoader("ONNX", matches, load)
