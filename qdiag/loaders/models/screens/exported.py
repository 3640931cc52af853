"""Looking through a `.pt2` archive for code, without running any of it.

`torch.export.load` trusts its file: it unpickles opaque constants, evaluates shape expressions with sympy (which uses
`eval`), imports modules named in input specifications, and calls whatever attribute of `torch` a node names. A program
that `torch.export.save` writes for an ordinary network needs none of that, so anything beyond a short list is refused.
Pickles of tensors are left to torch's restricted unpickler, which the caller forces.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping

from qdiag.errors import LoadError
from qdiag.loaders.models.screens.exported_bounds import (
    EXPRESSION_CHARS_MAX,
    JSON_BYTES_MAX,
    NUMBER_BITS_MAX,
    SYMBOL_NUMBER_MAX,
    expression_bits,
    graph_bits,
    symbol_beyond,
)
from qdiag.loaders.models.screens.operators import may_run

PROGRAMS, COMPILED = "models/", "data/aotinductor/"
"""Folders of an archive."""

# fmt: off
_SYMBOLIC_FUNCTIONS = frozenset((
    "FloorDiv", "ModularIndexing", "Where", "PythonMod", "Mod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv",
    "LShift", "RShift", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv",
    "IsNonOverlappingAndDenseIndicator", "TruncToFloat", "TruncToInt", "RoundToInt", "RoundDecimal", "ToFloat",
    "Identity", "Max", "Min", "Abs", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Pow", "Add", "Mul",
    "Integer", "Float", "floor", "ceiling", "sqrt", "exp", "log",
))
_SYMBOLIC_NODES = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Call,
    ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.Invert,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr,
    ast.BoolOp, ast.And, ast.Or,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)
_PYTHON_OPERATORS = frozenset((
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "pos", "abs", "eq", "ne", "lt", "le", "gt",
    "ge", "and_", "or_", "xor", "not_", "lshift", "rshift", "invert", "getitem", "index",
))
# fmt: on
# Symbol('s31', positive=True, integer=True), as sympy writes a symbol with what is known about it.
_SYMBOL = re.compile(r"Symbol\('([A-Za-z_]\w*)'(?:, [a-z_]+=(?:True|False))*\)", re.ASCII)
_SYMBOLIC_TEXT = re.compile(r"[\w\s+\-*/%(),.<>=!&|~]*", re.ASCII)

_OPERATOR = re.compile(r"torch\.ops\.([a-z_]\w*)\.([a-z_]\w*)(\.[a-z]\w*)?", re.ASCII | re.IGNORECASE)
_SYMBOLIC_OPERATOR = re.compile(
    r"torch\._?sym_[a-z]\w*|math\.(ceil|floor|trunc|sqrt|log2?|exp|a?(cos|sin|tan)h?)", re.ASCII
)
_DAMAGED_HINT = "copy or save it again"
_FACTORIES = ("list", "dict", "set", "tuple", "int", "float")
_HISTORY = ("from_node", "custom", "stack_trace")  # where a node came from: kept as text, never looked up


def code_in_archive(members: Mapping[str, bytes], at: str) -> str | None:
    """The first thing found that could run code, in words; None for an archive of plain graphs and tensors.

    Args:
        members: as torch will read them, named without the archive's root folder.

    Raises:
        LoadError: JSON that cannot be read, or that asks for more than the limits in `exported_bounds`.
    """
    for name, text in members.items():
        if not _is_read(name):
            continue
        if name.startswith(COMPILED):
            return f"a compiled program ({name})"
        if name.startswith(PROGRAMS) and name != "models/model.json":
            return f"a second program ({name})"
        if len(text) > JSON_BYTES_MAX:
            raise _too_much(f"its member {name} has {len(text) >> 20} MiB, the limit is {JSON_BYTES_MAX >> 20}", at)
        try:
            content = json.loads(text)
            for key, value in _leaves(content, ""):
                _check_bounds(key, value, at)
                found = _code_in(key, value)
                if found:
                    return f"{found} in {name}"
            node, bits = graph_bits(content)
        except (ValueError, RecursionError) as error:
            raise LoadError(f"its member {name} is damaged", at=at, hint=_DAMAGED_HINT) from error
        if bits > NUMBER_BITS_MAX:
            raise _too_much(f"the number {node} could have more than {NUMBER_BITS_MAX} bits, the limit", at)
    return None


def _check_bounds(key: str, value: object, at: str) -> None:
    for text in (key, value):
        if isinstance(text, str) and symbol_beyond(text):
            raise _too_much(f"the symbol {_short(text)} has a number above {SYMBOL_NUMBER_MAX:,}, the limit", at)
    if key == "expr_str" and isinstance(value, str):
        if len(value) > EXPRESSION_CHARS_MAX:
            raise _too_much(f"a shape expression of {len(value)} characters, the limit is {EXPRESSION_CHARS_MAX}", at)
        tree = _parsed(value)
        if tree is not None and expression_bits(tree) > NUMBER_BITS_MAX:
            raise _too_much(
                f"the shape expression {_short(value)} could have more than {NUMBER_BITS_MAX} bits, the limit", at
            )


def _too_much(fact: str, at: str) -> LoadError:
    return LoadError(f"it asks for too much: {fact}", at=at, hint="export the model again")


def _is_read(name: str) -> bool:
    return name.startswith((PROGRAMS, COMPILED)) or name.endswith(".json")


def _leaves(content: object, key: str) -> Iterator[tuple[str, object]]:
    """(key, value) of everything that is no container; JSON inside texts is opened too, as torch does."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield str(name), None
            yield from _leaves(value, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value, key)
    else:
        yield key, content
        if isinstance(content, str) and key not in _HISTORY and content.lstrip()[:1] in ("{", "[", '"'):
            try:
                inner = json.loads(content)
            except (ValueError, RecursionError):
                return
            yield from _leaves(inner, key)


def _code_in(key: str, value: object) -> str | None:
    if key == "expr_str" and isinstance(value, str) and not _is_plain_expression(value):
        return f"a shape expression {_short(value)}"
    if key in ("target", "as_operator") and isinstance(value, str) and not _is_plain_target(value):
        return f"a call of {_short(value)}"
    if key == "path_name" and isinstance(value, str) and not re.fullmatch(r"(weight|tensor)_\d+", value):
        return f"a pickled object {_short(value)}"
    if key == "default_factory_name" and value not in (None, *_FACTORIES):
        return f"a call of {_short(str(value))}"
    if key == "__enum__" or (key == "default_factory_module" and value not in (None, "builtins")):
        return "an import in the specification of its inputs"
    return None


def _is_plain_expression(text: str) -> bool:
    """Only numbers, symbols, arithmetic, comparisons and torch's own symbolic functions."""
    tree = _parsed(text)
    if tree is None:
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _SYMBOLIC_NODES):
            return False
        if isinstance(node, ast.Constant) and not isinstance(node.value, int | float):
            return False
        if isinstance(node, ast.Name) and node.id.startswith("__"):
            return False
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id in _SYMBOLIC_FUNCTIONS and not node.keywords
        ):
            return False
    return True


def _parsed(text: str) -> ast.Expression | None:
    text = _SYMBOL.sub(r"\1", text)
    if not _SYMBOLIC_TEXT.fullmatch(text):
        return None
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_plain_target(text: str) -> bool:
    """An operator that is registered with torch, or arithmetic on sizes."""
    operator = _OPERATOR.fullmatch(text)
    if operator:
        return may_run(operator[1], operator[2])
    return text.removeprefix("_operator.") in _PYTHON_OPERATORS or bool(_SYMBOLIC_OPERATOR.fullmatch(text))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
