"""From the bytes of a file to a network."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from qdiag.core.listed import listed
from qdiag.errors import CaptureError, LoadError
from qdiag.onnx.ends.graph import without_end
from qdiag.onnx.fold import fold_constants
from qdiag.onnx.linear import with_layers
from qdiag.onnx.model import OnnxGraph, OnnxNode, all_nodes, without_unused
from qdiag.onnx.network import OnnxNetwork
from qdiag.onnx.operators import OPERATORS
from qdiag.onnx.parameters import find_parameters
from qdiag.onnx.patterns import recognized
from qdiag.onnx.patterns.fused import unfused
from qdiag.onnx.patterns.shared import with_own_vectors
from qdiag.onnx.quantized.strip import is_quantized, stripped
from qdiag.onnx.quantized.unpack import is_packed, unpacked
from qdiag.onnx.read import Beside, parse

_SHOWN = 8
_DYNAMIC = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
_IN_BLOCKS = "their weights have a scale for each block: give the float network, and a scheme with `group_size` in it"
_OF_QUANTIZERS = (
    (("MatMulNBits", "GatherBlockQuantized", "MatMulBnb4"), _IN_BLOCKS),
    (
        ("FakeQuantize", "QcQuantizeOp", "FixedQuantize"),
        "these are quantizers of a tool's own: export the network as ONNX with QuantizeLinear and DequantizeLinear",
    ),
    (
        ("TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear", "TRT_INT4DequantizeLinear"),
        "8-bit floats and 4-bit integers of TensorRT are not read: give the float network, and a scheme of that format",
    ),
)
"""What tools write that quantize in their own way, and what to do."""
_CONTROL = ("Loop", "Scan", "NonMaxSuppression", "NonZero", "Unique")


def load_network(content: bytes, at: str, beside: Beside | None = None, *, kept: Collection[str] = ()) -> OnnxNetwork:
    """The network of an ONNX file; of a quantized one, the float network inside it, with what the file says beside it.

    A detector is read up to its non-maximum suppression, see `qdiag/onnx/ends`.

    Args:
        content: the file. beside: see `parse`.
        kept: tensors that stay apart although their operations could be read as one, because a quantized file of the
            same network has quantizers there.

    Raises:
        LoadError: the file cannot be read, is quantized while it runs, or has operators that are not known; all of
            them are listed, with their nodes. It cannot be cut before non-maximum suppression.
    """
    whole = parse(content, at, beside)
    integers = None
    try:
        read, left_out = without_end(whole)
        unnamed = frozenset(read.outputs) - frozenset(whole.outputs)
        read = unfused(read)
        encoding = "QOperator" if is_packed(read) else "QDQ"
        read = unpacked(read)
        if is_quantized(read):
            # scales and weights that the file computes from constants are constants
            read = replace(_folded(read, at), forms={})
            read, integers = stripped(read, encoding, unnamed)
            kept = (*kept, *integers.outputs)
    except LoadError as error:
        error.at = error.at or at
        raise
    # nodes of a damaged file have too few inputs, scales of other shapes, and attributes of other types
    except (IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        message = "what the file quantizes cannot be read"
        raise LoadError(message, at=at, hint="it is damaged; copy or save it again") from error
    _check_operators(read, at)
    return finished(read, at, partial(OnnxNetwork, integers=integers, left_out=left_out), kept)


def finished(read: OnnxGraph, at: str, kind: Callable[..., OnnxNetwork], kept: Collection[str] = ()) -> OnnxNetwork:
    """A graph of known operators as a network of this kind: constants computed, layers put together.

    Args:
        kept: tensors that stay apart, see `load_network`.

    Raises:
        LoadError: it computes nothing, or an operator does not compute what is asked of it.
    """
    folded = with_own_vectors(without_unused(_folded(read, at)), read)
    graph = without_unused(with_layers(folded, kept))
    if not graph.inputs:
        raise LoadError("the network has no input", at=at, hint="give a network that data go into")
    if not graph.nodes:
        raise LoadError("the network computes nothing from its inputs", at=at, hint="give a network with layers")
    layers = without_unused(recognized(graph, kept))
    parameters = find_parameters((graph, layers))
    bare = [
        replace(one, constants={name: array for name, array in one.constants.items() if name not in parameters})
        for one in (graph, layers)
    ]
    return kind(bare[0], bare[1], parameters)


def _folded(read: OnnxGraph, at: str) -> OnnxGraph:
    try:
        return fold_constants(read)
    except CaptureError as error:
        raise LoadError(f"{error.message} ({error.at})", at=at, hint=error.hint) from error


def _check_operators(graph: OnnxGraph, at: str) -> None:
    nodes = list(all_nodes(graph))
    dynamic = next((node for node in nodes if node.op in _DYNAMIC), None)
    if dynamic is not None:
        raise LoadError(
            f"this network is quantized while it runs: {dynamic.name} is a {dynamic.op}",
            at=at,
            hint="give the float network, or one that was quantized with ranges of calibration data (quantize_static)",
        )
    unknown = [node for node in nodes if node.kind not in OPERATORS and node.kind != "If"]
    if unknown:
        raise LoadError(f"operators that are not read: {_by_kind(unknown)}", at=at, hint=_hint(unknown, graph))


def _before(unknown: list[OnnxNode], graph: OnnxGraph) -> list[str]:
    """Tensors that are computed from the inputs of the network, and that the first of these nodes read."""
    inputs = {i.name for i in graph.inputs}
    from_data, behind, found = set(inputs), set[str](), list[str]()
    for node in graph.nodes:
        if any(node is one for one in unknown) or any(name in behind for name in node.inputs):
            behind.update(node.outputs)
            found += [name for name in node.inputs if name in from_data - inputs and name not in found]
        elif any(name in from_data for name in node.inputs):
            from_data.update(node.outputs)
    return found


def _by_kind(nodes: list[OnnxNode]) -> str:
    """`NonZero (/nms/NonZero, /nms/NonZero_1), com.acme.Foo (foo and 3 more)`."""
    counts = Counter(node.kind for node in nodes)
    names = {kind: [node.name for node in nodes if node.kind == kind] for kind in counts}
    return ", ".join(f"{kind} ({listed(names[kind], _SHOWN)})" for kind in sorted(counts))


def _hint(unknown: list[OnnxNode], graph: OnnxGraph) -> str:
    if any(node.op in _CONTROL for node in unknown):
        names = _before(unknown, graph)
        where = f" at {listed(names, _SHOWN)}" if names else ""
        return f"cut the network before them{where}, for example with onnx.utils.extract_model, and measure that part"
    for operators, hint in _OF_QUANTIZERS:
        if any(node.op in operators for node in unknown):
            return hint
    if any(node.domain for node in unknown):
        return "operators of other domains are not computed; save the network before a runtime has optimized it"
    return "export the network again with other settings, or cut it before them with onnx.utils.extract_model"
