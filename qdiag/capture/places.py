"""Where in the user's own code something happens."""

import re
from pathlib import Path

import torch
from torch import fx

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)[^\n]*(?:\n\s*(?P<code>[^\n]+))?')
_CODE_CHARACTERS = 200
_TORCH = str(Path(torch.__file__).parent)


def place_of(node: fx.Node) -> str:
    """`net.py:12` from the node's stack trace, or the path of its module; empty where neither is known."""
    frame = _own_frame(node)
    if frame is not None:
        return f"{Path(frame['file']).name}:{frame['line']}"
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def source_of(node: fx.Node) -> str:
    """`net.py:12: y = self.conv(x)`, the line that calls the operation; empty where the graph does not say.

    A path is left out but for the name of the file: it is one of the machine on which the graph was captured.
    """
    frame = _own_frame(node)
    if frame is None:
        return ""
    code = (frame["code"] or "").strip()
    return f"{Path(frame['file']).name}:{frame['line']}" + (f": {code[:_CODE_CHARACTERS]}" if code else "")


def _own_frame(node: fx.Node) -> re.Match[str] | None:
    """The innermost frame that is not torch's own."""
    frames = [m for m in _FRAME.finditer(node.meta.get("stack_trace") or "") if not is_torch(m["file"])]
    return frames[-1] if frames else None


def is_torch(file: str) -> bool:
    """The file belongs to torch itself."""
    return file.startswith(_TORCH)


def code_at(file: str, line: int) -> str:
    """`net.py:12: if x.mean() > 0:`, without the code where the file cannot be read."""
    import linecache

    code = linecache.getline(file, line).strip()
    return f"{Path(file).name}:{line}" + (f": {code}" if code else "")
