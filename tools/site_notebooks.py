"""A hook of mkdocs: notebooks as pages of the site, whose files a browser would show as JSON.

Cells stand as they are, each with what it printed or gave; links to the files lead to the pages.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_SUFFIX = ".ipynb"
_LEADS_OUT = re.compile(r"\[([^\]]*)\]\(\.\./\.\./[^)]*\)")
"""Links to what is no part of the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each notebook, beside its file."""
    for file in [file for file in files if file.src_uri.endswith(_SUFFIX)]:
        notebook = json.loads(Path(config.docs_dir, file.src_uri).read_text(encoding="utf-8"))
        page = notebook_page(notebook, Path(file.src_uri).name)
        files.append(File.generated(config, file.src_uri.removesuffix(_SUFFIX) + ".md", content=page))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to notebooks lead to their pages; a page itself links to its file, which it names."""
    return markdown.replace(f"{_SUFFIX})", ".md)").replace(f"{_SUFFIX}?file)", f"{_SUFFIX})")


def notebook_page(notebook: dict[str, Any], name: str) -> str:
    """The notebook as Markdown: text, code, and what each cell gave, as text.

    Args:
        name: of its file.
    """
    found = list[str]()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found.append(_LEADS_OUT.sub(r"\1", source))
            continue
        found.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            text = "".join(output.get("text") or output["data"]["text/plain"])
            found.append(f"```text\n{text.rstrip()}\n```")
    found.append(f"The notebook as a file: [{name}]({name}?file)")
    return "\n\n".join(found) + "\n"
