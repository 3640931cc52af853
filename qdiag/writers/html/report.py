"""A diagnosis as one HTML file that opens from disk: no network, no other file, dark and light, by mouse or keyboard.

The charts are our own SVG, a few hundred lines: unlike the canvas of a charting library they follow the theme, print
sharp at the width of the paper, can be walked through with the arrow keys and be read aloud, and weigh 40 kB, not 1 MB
and more in every report.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.printable import printable
from qdiag.reading import labels
from qdiag.reading.layers import columns
from qdiag.reading.layers.repaired import table_words
from qdiag.reading.meanings import meanings
from qdiag.reading.terms import VERDICT_TERMS, sections, terms_by_name
from qdiag.reading.words.causes import VERDICT_WORDS
from qdiag.reading.words.numbers import UNITS
from qdiag.writers.html.comparison import comparison
from qdiag.writers.html.filters import FILTERS, METERS
from qdiag.writers.html.page_text import codes_in, held_page, linked_codes, with_explained
from qdiag.writers.html.payload import run_payload
from qdiag.writers.html.view import RunView, run_view
from qdiag.writers.plain_json import shown

_STYLES = ("style.css", "sections.css", "charts.css", "graph.css", "print.css")
_CHARTS = ("core.js", "sqnr.js", "sqnr_cursor.js", "pictures.js", "panel.js")
_SCRIPTS = (*_CHARTS, "graph.js", "graph_places.js", "graph_states.js", "table.js", "main.js")
_CHANNELS_AT_MOST = 256
"""Channels drawn for one tensor; beyond that neighbours share a line, which a screen could not tell apart anyway."""
_ROWS_AT_FIRST = 60
"""Rows of the table of layers that a browser reads as it opens the page; `table.js` adds the others."""
_EXPLANATIONS = "<explanations/>"
"""Where `explanations.html` goes once the page is known: what is said there decides which codes it is about."""
_LINES_AT_MOST = 60_000
"""Channels drawn for one kind of tensor over all layers and runs: keeps the file of a wide, deep network below 6 MB."""


def html_report(diagnosis: Diagnosis, after: Diagnosis | None = None) -> str:
    """The whole page. Its policy lets no script run but its own, whatever a layer is called.

    Args:
        after: a second diagnosis, such as of the repaired network: the page then has a switch between the two.
    """
    runs = [run_view("before", "Before", diagnosis)]
    if after is not None:
        runs.append(run_view("after", "After", after))
    lines = _LINES_AT_MOST // max(1, sum(len(run.layers) for run in runs))
    channels = max(16, min(_CHANNELS_AT_MOST, lines))
    payloads = [run_payload(run.key, run.title, run.layers, run.diagnosis, channels) for run in runs]
    data = {"runs": payloads, "units": UNITS}
    script, digest = _script()
    shared = {"meanings": meanings(), "docs_address": _docs_address()}
    page = (
        _environment()
        .get_template("page.html")
        .render(
            **shared,
            runs=runs,
            comparison=comparison(diagnosis, after) if after is not None else (),
            data=htmlsafe_json_dumps(shown(data), allow_nan=False, separators=(",", ":")),
            style=Markup("\n".join(map(_source, _STYLES))),
            script=Markup(script),
            script_hash=digest,
            verdict_words=VERDICT_WORDS,
            labels=labels,
            layer_table=columns,
            table_words=table_words,
            meters=METERS,
            rows_at_first=_ROWS_AT_FIRST,
            terms=terms_by_name(),
            glossary=sections(),
            verdict_terms=VERDICT_TERMS,
        )
    )
    codes = with_explained(_codes(runs) | codes_in(page, meanings()), meanings())
    explanations = _environment().get_template("explanations.html").render(**shared, codes=codes)
    page = held_page(linked_codes(page.replace(_EXPLANATIONS, explanations, 1), codes))
    # A path may hold bytes that are no text; the page is UTF-8 all the same.
    return page.encode("utf-8", "replace").decode("utf-8")


def _codes(runs: Sequence[RunView]) -> set[str]:
    """Of all findings: the panels of layers show them too."""
    found = {finding.code for run in runs for finding in run.diagnosis.ranking.findings}
    return found | {cause.code for run in runs for cause in run.diagnosis.ranking.causes}


@cache
def _docs_address() -> str | None:
    """Where the documentation is published, if the package says so."""
    try:
        addresses = metadata("qdiag").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None
    named = dict(address.split(", ", 1) for address in addresses if ", " in address)
    return named.get("Documentation")


def _shown(value: object) -> object:
    """What a template shows of somebody else's text; `Markup` is our own."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("qdiag.writers", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["line_break"] = Markup("\n")  # ours: in somebody else's text one is shown as an escape
    return environment


def _source(name: str) -> str:
    """A file of the package as it is: our own, so nothing in it is escaped."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _script() -> tuple[str, str]:
    """The script, in a scope of its own, and its digest for the Content-Security-Policy."""
    body = "\n".join(map(_source, _SCRIPTS))
    script = f'"use strict";\n(() => {{\n{body}\n}})();\n'
    return script, "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
