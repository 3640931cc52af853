"""What a command says of itself, read without importing what it needs."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def docstring_of(module: str, function: str) -> str:
    """Of a function of a module: from its source where that lies in a file, otherwise by importing the module."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file() or not spec.origin.endswith(".py"):
        return str(getattr(import_module(module), function).__doc__)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    named = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return next((ast.get_docstring(node, clean=False) or "" for node in named), "")
