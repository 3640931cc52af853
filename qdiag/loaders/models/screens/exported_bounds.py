"""What a `.pt2` may ask of its reader: sizes of numbers, symbols and texts that are bounded before any is computed.

Python's and sympy's integers have no end: `9**9**9**9` as the size of a tensor, or a chain of nodes that square one
another, would compute for ever. A bound on the bits of each value is found from the text alone.
"""

import ast
import re
from collections.abc import Iterator, Mapping

NUMBER_BITS_MAX = 4096
"""Of a number that an expression or a chain of nodes may come to."""
EXPRESSION_CHARS_MAX = 100_000
SYMBOL_NUMBER_MAX = 1_000_000
"""Of `u17`, `s3`: torch counts up to the highest one by one."""
JSON_BYTES_MAX = 256 << 20
"""The graph of a network with ten thousand operations takes about 20 MB."""

_UNKNOWN_BITS = 64
_SYMBOL = re.compile(r"(?:u|zu|s|z|zuf|zf|uf)(\d+)", re.ASCII)
_POWERS = ("PowByNatural", "FloatPow", "Pow")
_GROWING = ("mul", "add", "sub", "pow", "lshift", "neg", "pos", "abs")


def symbol_beyond(name: str) -> bool:
    """Whether this is a symbol with a number that is too high to count up to."""
    found = _SYMBOL.fullmatch(name)
    return found is not None and (len(found[1]) > 12 or int(found[1]) > SYMBOL_NUMBER_MAX)


def expression_bits(node: ast.AST) -> float:
    """At most so many bits has the value of an expression, symbols counted as numbers of 64 bits."""
    if isinstance(node, ast.Expression):
        return expression_bits(node.body)
    if isinstance(node, ast.Constant):
        return float(node.value.bit_length()) if isinstance(node.value, int) else float(_UNKNOWN_BITS)
    if isinstance(node, ast.BinOp):
        left, right = expression_bits(node.left), expression_bits(node.right)
        if isinstance(node.op, ast.Pow):
            return _power_bits(left, right, isinstance(node.right, ast.Name))
        return left + right + 1
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        bits = [expression_bits(argument) for argument in node.args]
        if node.func.id in _POWERS and len(bits) == 2:
            return _power_bits(bits[0], bits[1], isinstance(node.args[1], ast.Name))
        if node.func.id == "LShift" and len(bits) == 2:
            return bits[0] + _power_bits(1.0, bits[1], isinstance(node.args[1], ast.Name))
        if node.func.id == "exp" and bits:
            return _power_bits(2.0, bits[0], isinstance(node.args[0], ast.Name))
        return sum(bits) + 1.0
    return sum(expression_bits(child) for child in ast.iter_child_nodes(node)) + (
        _UNKNOWN_BITS if isinstance(node, ast.Name) else 0.0
    )


def graph_bits(content: object) -> tuple[str, float]:
    """The node whose number may have the most bits, by name, over all graphs in the JSON of a program."""
    most = ("", 0.0)
    for nodes in _graphs(content):
        known: dict[str, float] = {}
        for node in nodes:
            if not isinstance(node, dict):
                continue
            operator = str(node.get("target", "")).rpartition(".")[2]
            is_number = str(node.get("target", "")).startswith("_operator.")
            if not is_number or operator not in _GROWING:
                continue
            given = node.get("inputs")
            bits = [_argument_bits(value, known) for value in given] if isinstance(given, list) else []
            found = _node_bits(operator, bits)
            for name in _names(node.get("outputs")):
                known[name] = found
            if found > most[1]:
                most = (next(_names(node.get("outputs")), operator), found)
    return most


def _node_bits(operator: str, bits: list[float]) -> float:
    if operator == "pow" and len(bits) == 2:
        return _power_bits(bits[0], bits[1], is_symbol=False)
    if operator == "lshift" and len(bits) == 2:
        return bits[0] + _power_bits(1.0, bits[1], is_symbol=False)
    return sum(bits) + 1.0


def _power_bits(base: float, exponent: float, is_symbol: bool) -> float:
    """A symbol as the exponent is never computed; a number is."""
    if is_symbol:
        return base + _UNKNOWN_BITS
    return base * 2.0 ** min(exponent, 64.0) if exponent > 1.0 else base


def _argument_bits(value: object, known: Mapping[str, float]) -> float:
    for key, leaf in _leaves(value):
        if key == "as_name" and isinstance(leaf, str):
            return known.get(leaf, float(_UNKNOWN_BITS))
        if key == "as_int" and isinstance(leaf, int):
            return float(leaf.bit_length())
    return float(_UNKNOWN_BITS)


def _names(value: object) -> Iterator[str]:
    for key, leaf in _leaves(value):
        if key in ("as_name", "name") and isinstance(leaf, str):
            yield leaf


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value


def _graphs(content: object) -> Iterator[list[object]]:
    if isinstance(content, dict):
        nodes = content.get("nodes")
        if isinstance(nodes, list):
            yield nodes
        for value in content.values():
            yield from _graphs(value)
    elif isinstance(content, list):
        for value in content:
            yield from _graphs(value)
