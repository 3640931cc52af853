"""From the bytes of a LiteRT file to a network."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import partial

from qdiag.core.listed import listed
from qdiag.errors import LoadError
from qdiag.litert.ends import without_end
from qdiag.litert.model import LiteGraph, LiteOperator
from qdiag.litert.network import LitertNetwork
from qdiag.litert.operators import OPERATORS
from qdiag.litert.read import parse
from qdiag.litert.rewrite import needed, rewritten
from qdiag.litert.scales import disregarded
from qdiag.onnx.load import finished
from qdiag.onnx.quantized.strip import is_quantized, stripped

_SHOWN = 8
_CONTROL = ("IF", "WHILE", "CALL", "CALL_ONCE")


def load_network(content: bytes, at: str, *, kept: Collection[str] = ()) -> LitertNetwork:
    """The network of a LiteRT file; of a quantized one, the float network inside it, with what the file says beside it.

    A detector is read up to its non-maximum suppression, see `qdiag/litert/ends.py`.

    Args:
        kept: tensors that stay apart although their operations could be read as one, because a quantized file of the
            same network has quantizers there.

    Raises:
        LoadError: the file cannot be read, leaves sizes of images free, or has operators that are not known; all of
            them are listed, with the tensors that they give.
    """
    whole = parse(content, at)
    try:
        source, left_out = without_end(whole)
    except LoadError as error:
        error.at = at
        raise
    source = needed(source)
    _check(source, at)
    try:
        graph, integers = rewritten(source), None
        if is_quantized(graph):
            graph, integers = stripped(graph, "LiteRT")
            integers = replace(integers, uneven=tuple(dict.fromkeys((*integers.uneven, *disregarded(source)))))
            kept = (*kept, *integers.outputs)
    except LoadError as error:
        error.at = error.at or at
        raise
    # what a damaged file says of shapes fails in as many ways as there are operators
    except (ValueError, TypeError, IndexError, KeyError, AssertionError, OverflowError, ZeroDivisionError) as error:
        raise LoadError("the shapes and operators of the network do not fit together", at=at) from error
    network = finished(graph, at, partial(LitertNetwork, source=source, integers=integers, left_out=left_out), kept)
    assert isinstance(network, LitertNetwork)
    return network


def _check(source: LiteGraph, at: str) -> None:
    unknown = [operator for operator in source.operators if operator.kind not in OPERATORS]
    if unknown:
        hint = "cut the network before them, or convert it again without custom operators"
        if any(operator.kind in _CONTROL for operator in unknown):
            hint = "branches and loops are not measured: convert the network for one of its ways, with loops unrolled"
        raise LoadError(f"operators that are not read: {_by_kind(unknown, source)}", at=at, hint=hint)
    for place in source.inputs:
        tensor = source.tensors[place]
        if any(tensor.is_free[1:]):
            raise LoadError(
                f"the sizes of the input {tensor.name} are free",
                at=at,
                hint="convert the network with a fixed size of its inputs; only the number of samples may be free",
            )


def _by_kind(unknown: list[LiteOperator], source: LiteGraph) -> str:
    """`WHILE (loop), custom TFLite_Detection_PostProcess (boxes)`."""
    names: dict[str, list[str]] = {kind: [] for kind in sorted(Counter(operator.kind for operator in unknown))}
    for operator in unknown:
        names[operator.kind] += [source.tensors[place].name for place in operator.outputs[:1]]
    return ", ".join(f"{kind} ({listed(found, _SHOWN)})" for kind, found in names.items())
