"""What a runtime computes with integers and what in float, in words."""

from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.reading.words.numbers import count_noun

_NAMED_AT_MOST = 12


def integer_words(operations: RuntimeOperations) -> str:
    """`23 operations with integers in onnxruntime 1.32.0: 20 QLinearConv, 3 QLinearAdd`, as it runs the file."""
    count = count_noun(operations.integer_count, "operation")
    kinds = sorted(operations.integer.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{number} {op}" for op, number in kinds)
    return f"{count} with integers in {operations.runtime}" + (f": {listed}" if listed else "")


def float_words(operations: RuntimeOperations) -> str:
    """`2 in float: Tanh act, Resize up`, or that there are none."""
    floating = operations.floating
    if not floating:
        return "no operation in float"
    named = ", ".join(f"{one.op} {one.name}" for one in floating[:_NAMED_AT_MOST])
    more = f" and {len(floating) - _NAMED_AT_MOST} more" if len(floating) > _NAMED_AT_MOST else ""
    return f"{count_noun(len(floating), 'operation')} in float: {named}{more}"
