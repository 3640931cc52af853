"""What an ONNX or a LiteRT file is, told from its bytes before anything large is imported."""

from pathlib import Path

from qdiag.errors import ConfigError
from qdiag.files.read import open_regular
from qdiag.litert.stored_scales import has_scales
from qdiag.loaders.missing import check_model
from qdiag.onnx.quantized.forms import is_packed
from qdiag.onnx.wire.kinds import operator_kinds
from qdiag.runtimes.choice import Encoding, check_reader

QUANTIZED_HINT = "give an ONNX file with QuantizeLinear and DequantizeLinear, or a LiteRT file of integers"
_ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
_HEAD_BYTES, _LOOKED_AT_BYTES_MAX, _NODES_MAX = 8, 256 << 20, 200_000
"""A larger file is told apart when it is read."""


def is_onnx(head: bytes) -> bool:
    """A ModelProto: field 1 (ir_version, 3 or more today) as varint, then one of its other fields."""
    return len(head) > 2 and head[0] == 0x08 and 2 <= head[1] <= 0x20 and head[2] in _ONNX_FIELDS


def is_litert(head: bytes) -> bool:
    """The identifier that stands behind the first offset."""
    return head[4:8] == b"TFL3"


def encoding_of(reference: str) -> Encoding | None:
    """Which of the two formats a file has; None for anything else, and where no file is."""
    try:
        with open_regular(reference) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return "ONNX" if is_onnx(head) else "LiteRT" if is_litert(head) else None


def holds_integers(reference: str) -> bool | None:
    """Whether a file of one of the two formats is quantized; None where that is told only when it is read."""
    encoding = encoding_of(reference)
    if encoding is None or Path(reference).stat().st_size > _LOOKED_AT_BYTES_MAX:
        return None
    with open_regular(reference) as file:
        content = file.read()
    try:
        if encoding == "LiteRT":
            return has_scales(content)
        for number, (op, domain) in enumerate(operator_kinds(content)):
            if op in ("QuantizeLinear", "DequantizeLinear") or is_packed(op, domain):
                return True
            if number == _NODES_MAX:
                return None
    except ValueError:
        return None
    return False


def check_packages(reference: str) -> None:
    """Raises `LoadError` for a file of the two formats that the installed packages do not read."""
    encoding = encoding_of(reference)
    if encoding is not None:
        check_reader(encoding, reference)


def check_readable(reference: str) -> None:
    """Raises `LoadError` where no model is, or none that the installed packages read."""
    check_model(reference)
    check_packages(reference)


def check_quantized(reference: str) -> None:
    """Raises `LoadError` as `check_readable`, and `ConfigError` for a file of another format or a float one."""
    check_readable(reference)
    if encoding_of(reference) is None:
        raise ConfigError(f"{reference} is neither an ONNX nor a LiteRT file", at="`quantized`", hint=QUANTIZED_HINT)
    if holds_integers(reference) is False:
        raise ConfigError(f"{reference} is not quantized", at="`quantized`", hint=QUANTIZED_HINT)
