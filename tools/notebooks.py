"""Runs the notebooks under docs/notebooks, and writes what their cells give, as text.

    python tools/notebooks.py

A notebook is JSON (https://nbformat.readthedocs.io). Its code is plain Python that ends in an expression where a cell
shows something, so that no Jupyter is needed to run it; pictures and pages are left out of the files.
"""

import ast
import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"


def run_notebook(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of its cells; it runs in its own folder, as Jupyter does."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with _in_folder(path.parent):
        for number, cell in enumerate(code_cells(notebook), 1):
            cell["execution_count"] = number
            cell["outputs"] = list(_outputs("".join(cell["source"]), names, f"{path.name}, cell {number}", number))
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells that are run, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def to_text(notebook: dict[str, Any]) -> str:
    """The notebook as its file has it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _outputs(source: str, names: dict[str, Any], name: str, number: int) -> Iterator[dict[str, Any]]:
    tree, value, printed = ast.parse(source, name), None, io.StringIO()
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())}
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        yield {"output_type": "execute_result", "execution_count": number, "data": data, "metadata": {}}


def _lines(text: str) -> list[str]:
    """As notebooks keep text; where this checkout lies is nobody's business."""
    return text.replace(f"{ROOT}/", "").splitlines(keepends=True)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    for file in sorted(FOLDER.glob("*.ipynb")):
        file.write_text(to_text(run_notebook(file)), encoding="utf-8")
        print(file.name)
