"""Where in the user's own code something happens."""

import re
from pathlib import Path

import torch
from torch import fx

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)[^\n]*(?:\n\s*(?P<code>[^\n]+))?')
_TORCH = str(Path(torch.__file__).parent)


def place_of(node: fx.Node) -> str:
    """`net.py:12` from the node's stack trace, or the path of its module; empty where neither is known."""
    frames = [m for m in _FRAME.finditer(node.meta.get("stack_trace") or "") if not is_torch(m["file"])]
    if frames:
        return f"{Path(frames[-1]['file']).name}:{frames[-1]['line']}"
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def is_torch(file: str) -> bool:
    """The file belongs to torch itself."""
    return file.startswith(_TORCH)


def code_at(file: str, line: int) -> str:
    """`net.py:12: if x.mean() > 0:`, without the code where the file cannot be read."""
    import linecache

    code = linecache.getline(file, line).strip()
    return f"{Path(file).name}:{line}" + (f": {code}" if code else "")
