"""Looking through the code of a TorchScript archive, without loading it.

Loading runs the program's own `__setstate__`, and measuring runs the rest. Its code is text in Python's syntax, which
torch compiles. What may pass is a small part of that syntax, in which every call can be told: of an operator that only
computes (`operators.may_run`), of a function or method in the archive itself, or of a few words such as `int`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qdiag.loaders.models.screens.operators import is_operator, is_quantized, may_run

CODE_BYTES_MAX = 64 << 20
"""Of all code in an archive; that of a large detector takes 2 MB."""

# fmt: off
_WORDS = frozenset((
    "abs", "all", "annotate", "any", "bool", "chr", "complex", "dict", "divmod", "enumerate", "float", "getattr",
    "hasattr", "int", "isinstance", "len", "list", "max", "min", "ord", "print", "range", "reversed", "round", "sorted",
    "str", "sum", "tuple", "unchecked_cast", "uninitialized", "zip",
))
_NODES = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.Return, ast.Pass, ast.Expr, ast.If, ast.For, ast.While, ast.Break, ast.Continue, ast.Delete, ast.Assert,
    ast.Raise, ast.With, ast.withitem, ast.Call, ast.keyword, ast.Attribute, ast.Name, ast.Subscript, ast.Slice,
    ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.comprehension, ast.UnaryOp, ast.BinOp, ast.BoolOp,
    ast.Compare, ast.IfExp, ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop,
)
# fmt: on
_NOT_PLAIN = re.compile(r"[^\n -~]|\\\n")
_CLASSES = re.compile(rb"torch\.classes\.(\w+)")
_ROOTS = ("torch", "ops", "__torch__")


@dataclass(frozen=True)
class ScriptFacts:
    """quantized: what shows that the network is quantized already. code: what is not known to be harmless, in words."""

    quantized: str | None
    code: str | None


def screen_script(members: Mapping[str, bytes]) -> ScriptFacts:
    """What is found in an archive; `members` are named without its root folder."""
    quantized, code = None, None
    for found, is_of_quantized in _findings(members):
        if is_of_quantized:
            quantized = quantized or found
        else:
            code = code or found
    return ScriptFacts(quantized, code)


def _findings(members: Mapping[str, bytes]) -> Iterator[tuple[str, bool]]:
    sources = {name: text for name, text in members.items() if name.startswith("code/") and name.endswith(".py")}
    size = sum(map(len, sources.values()))
    if size > CODE_BYTES_MAX:
        yield f"{size >> 20} MiB of code, more than the {CODE_BYTES_MAX >> 20} that are looked through", False
        return
    for name, content in members.items():
        if name.endswith(".pkl"):
            for namespace in sorted({match.decode() for match in _CLASSES.findall(content)}):
                yield f"an object of torch.classes.{namespace} in {name}", is_quantized(namespace)
    for name, content in sources.items():
        for found, is_of_quantized in _in_source(content):
            yield f"{found} in {name}", is_of_quantized


def _in_source(content: bytes) -> Iterator[tuple[str, bool]]:
    try:
        text = content.decode("ascii")
        tree = None if _NOT_PLAIN.search(text) or not _has_plain_tokens(text) else ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        tree = None
    if tree is None:
        yield "text that torch may understand in another way", False
        return
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    inside = {id(node) for part in ast.walk(tree) if isinstance(part, ast.FunctionDef) for node in ast.walk(part)}
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            yield f"a construct that is not known ({type(node).__name__})", False
        elif isinstance(node, ast.Call) and id(node) not in inside:
            yield "a call outside of functions", False
        elif isinstance(node, ast.FunctionDef):
            yield from _in_function(node)
        elif isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            yield from _in_path(_path(node))


def _has_plain_tokens(text: str) -> bool:
    """No comments, in which torch looks for types, and no texts with a letter in front, which it does not know."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return all(
        token.type != tokenize.COMMENT and (token.type != tokenize.STRING or token.string[0] in "'\"")
        for token in tokens
    )


def _in_function(function: ast.FunctionDef) -> Iterator[tuple[str, bool]]:
    """Calls in one function: a name that is called has to stand for a function of the archive, and for nothing else."""
    if function.decorator_list:
        yield "a decorator", False
    of_archive, others = set(), {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    known: set[int] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or _root(node.value) != "__torch__":
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name):
            of_archive.add(target.id)
            known.add(id(target))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in known:
            others.add(node.id)
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            name = node.func.id
            if name in others or name not in of_archive | _WORDS:
                yield f"a call of {name}", False
        elif not isinstance(node.func, ast.Attribute):
            yield "a call of what another call gave", False
        elif _root(node.func) not in _ROOTS:
            # A method of the archive's own classes, or an operator on a tensor, a list or a text.
            name = node.func.attr
            if is_operator(name) and not (may_run("aten", name) or may_run("prim", name)):
                yield f"a call of {name}", False


def _in_path(path: tuple[str, ...] | None) -> Iterator[tuple[str, bool]]:
    """A whole `a.b.c`; a part of one that begins with a namespace would hide what is called below it."""
    if path is None or path[0] not in _ROOTS:
        return
    if path[0] == "torch" and len(path) == 2:
        yield from _in_operator("aten", path[1])
    elif path[0] == "ops" and len(path) == 3:
        yield from _in_operator(path[1], path[2])
    elif path[0] != "__torch__" or path in (("__torch__",), ("__torch__", "torch")):
        yield f"{'.'.join(path)} as a value", False
    elif path[:3] == ("__torch__", "torch", "classes"):
        yield f"the class {'.'.join(path[1:])}", len(path) > 4 and is_quantized(path[3])


def _in_operator(namespace: str, name: str) -> Iterator[tuple[str, bool]]:
    if is_quantized(namespace):
        yield f"the operator {namespace}::{name}", True
    elif not may_run(namespace, name):
        yield f"the operator {namespace}::{name}", False


def _root(node: ast.expr) -> str:
    return (_path(node) or ("",))[0]


def _path(node: ast.expr) -> tuple[str, ...] | None:
    """`a.b.c` as its parts; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None
