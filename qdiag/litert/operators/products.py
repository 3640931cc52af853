"""Products with matrices: layers with a constant one, and of two values."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule
from qdiag.litert.operators.convolutions import bias_of, flat_weight


def _fully_connected(call: Call) -> None:
    """Values of several axes are rows of as many numbers as the matrix takes."""
    if call.option("weightsFormat"):
        raise call.error("weights in shuffled order are not read")
    weight = flat_weight(call, 1)
    columns, shape = call.known(1).shape[1], call.tensor(0).shape
    x = call.read(0, "last")
    keeps = bool(call.option("keepNumDims")) and shape and shape[-1] == columns
    if not keeps and not (len(shape) == 2 and shape[-1] == columns):
        rows = call.output().shape[0] if call.output().shape else 1
        if shape and shape[0] != rows and call.writer.is_free and call.is_sampled and rows % max(shape[0], 1):
            call.needs_fixed_batch()
        x = call.step("Reshape", [x, call.writer.numbers([-1, columns])], "rows")
    call.finished("Linear", [x, weight, *bias_of(call, 2)], "last")


def _batch_matmul(call: Call) -> None:
    """Rows of the one times columns of the other, in the file's order of axes."""
    sides = []
    for index, flag in ((0, "adjX"), (1, "adjY")):
        side = call.read(index, "last")
        if call.option(flag):
            order = list(range(len(call.tensor(index).shape)))
            order[-2:] = order[:-3:-1]
            side = call.step("Transpose", [side], f"transposed {index + 1}", perm=order)
        sides.append(side)
    call.finished("MatMul", sides, "last")


OPERATORS: Mapping[str, Rule] = {"FULLY_CONNECTED": _fully_connected, "BATCH_MATMUL": _batch_matmul}
