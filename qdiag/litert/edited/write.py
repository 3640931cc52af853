"""A file with edits: in place where everything fits, and otherwise packed anew with what does not."""

from collections.abc import Sequence

import numpy as np

from qdiag.errors import WriteError
from qdiag.integer_file import TensorEdit
from qdiag.litert.edited.change import TensorChange, tensor_changes
from qdiag.litert.edited.in_place import replaced
from qdiag.litert.edited.rewriter import Rewriter
from qdiag.litert.model import LiteGraph, LiteTensor
from qdiag.litert.read import parse
from qdiag.litert.serialize import drawn_in, packages


def written(content: bytes, edits: Sequence[TensorEdit], at: str) -> bytes:
    """The file with these edits.

    Numbers of the same types are replaced where they stand, and every other byte stays. Where a tensor is of another
    type, or kernels ask for scales that are no longer the same, QUANTIZE and DEQUANTIZE go between.

    Raises:
        WriteError: what an edit is about is not there. LoadError: the file cannot be read any more.
    """
    graph = parse(content, at)
    try:
        return with_changes(content, graph, tensor_changes(graph, edits), at)
    except WriteError as error:
        error.at = error.at or at
        raise


def with_changes(content: bytes, graph: LiteGraph, changes: Sequence[TensorChange], at: str) -> bytes:
    """The file with these changes of tensors of its main network, which `graph` is."""
    schema, builder = packages()
    model = schema.ModelT.InitFromPackedBuf(content)
    drawn_in(model, content)
    signatures = model.signatureDefs or []
    place = signatures[0].subgraphIndex if signatures else 0
    rewriter = Rewriter(schema, model, place, changes)
    rewriter.run()
    if not rewriter.is_other:
        found = replaced(content, schema, place, rewriter.changes)
        if found is not None and _others_stay(graph, parse(found, at), {change.place for change in rewriter.changes}):
            return found
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _others_stay(before: LiteGraph, after: LiteGraph, changed: set[int]) -> bool:
    """No tensor shares its numbers with one that changed."""
    pairs = enumerate(zip(before.tensors, after.tensors, strict=True))
    return all(place in changed or is_same(one, two) for place, (one, two) in pairs)


def is_same(one: LiteTensor, two: LiteTensor) -> bool:
    """They hold the same numbers at the same scales."""
    if (one.quantization is None) != (two.quantization is None):
        return False
    if one.quantization is not None and two.quantization is not None:
        pairs = (
            (one.quantization.scales, two.quantization.scales),
            (one.quantization.zero_points, two.quantization.zero_points),
        )
        if not all(np.array_equal(a, b) for a, b in pairs):
            return False
    if one.data is None or two.data is None:
        return one.data is two.data
    return np.array_equal(one.data, two.data)
