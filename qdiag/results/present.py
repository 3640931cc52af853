"""How results show themselves: the functions behind the methods of `qdiag.core.presentation.presented`."""

from pathlib import Path
from typing import Any

from qdiag.core.causes.repair import ModelRepair
from qdiag.core.compare import Comparison
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateResult
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, telling_hints
from qdiag.reading.words.causes import headline
from qdiag.reading.words.comparison.sentences import comparison_headline
from qdiag.reading.words.gate import verdict_words
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.harm import measured_harm_words

Result = Diagnosis | Measurement | RangeReport
Held = Comparison | GateResult | ModelRepair
"""Results of other results, which have a short text alone."""

_ASK = "summary() tells more, to_pandas() gives tables, plot() draws a picture, save(path) keeps it"
_ASK_DIAGNOSIS = "summary() tells causes and repairs, report(folder) writes the report, to_pandas() gives tables"


def short_text(result: Result) -> str:
    """What it is of, what was found, what to ask next: a line each."""
    model, data = _source(result)
    if isinstance(result, Diagnosis):
        scheme = result.measurement.scheme.name
        return f"Diagnosis of {model} under {scheme}, on {data}\n{headline(result)}\n{_ASK_DIAGNOSIS}"
    if isinstance(result, Measurement):
        first = f"Measurement of {model} under {result.scheme.name}, on {data}"
        return f"{first}\n{measured_harm_words(result)}\n{_ASK}"
    found = f"{count_noun(len(result.records), 'tensor')} with a range"
    return f"RangeReport of {model}, on {data}\n{found}\n{_ASK}"


def held_text(result: Held) -> str:
    """What was held against what, what came of it, what to ask next: a line each."""
    if isinstance(result, Comparison):
        before, after = result.before.source, result.after.source
        ask = "task, causes and layers say what changed; changed holds the layers that changed"
        return f"Comparison of {before} with {after}\n{comparison_headline(result)}\n{ask}"
    if isinstance(result, ModelRepair):
        names = ", ".join(step.repair for step in result.steps)
        found = measured_harm_words(result.after) if result.after is not None else _unmeasured(result)
        ask = "steps says what was changed, before and after hold what was measured, written_to is the repaired file"
        return f"ModelRepair of {result.model.source}: {names}\n{found}\n{ask}"
    ask = "status and exit_code say how it ended, checks says why, causes and commands say what repairs it"
    return f"GateResult of {result.source}\n{verdict_words(result)}\n{ask}"


def _unmeasured(result: ModelRepair) -> str:
    """Why there is no repaired network, or none that was measured."""
    if not result.made:
        return (
            "; ".join(f"{step.repair} was refused: {step.refused}" for step in result.steps) or "Nothing was repaired."
        )
    return f"The repaired network was not measured: {result.unproved}" if result.unproved else "It was not measured."


def summary(result: Result) -> str:
    """See `Presented.summary`."""
    from qdiag.results.summary import diagnosis_summary, measurement_summary, ranges_summary

    if isinstance(result, Diagnosis):
        return diagnosis_summary(result)
    return measurement_summary(result) if isinstance(result, Measurement) else ranges_summary(result)


def first_page(result: Result) -> str:
    """See `Presented._repr_html_`."""
    from qdiag.results.page import page_of

    return page_of(result)


@telling_hints()
def frame(result: Result, table: str) -> Any:
    """See `Presented.to_pandas`.

    Raises:
        ConfigError: there is no such table.
    """
    from qdiag.results.tables import TABLES

    tables = TABLES[type(result)]
    if table not in tables:
        raise ConfigError(f"there is no table {table!r}", at="`table`", hint=nearest_hint(table, list(tables)))
    return tables[table](result)


@telling_hints()
def figure(result: Result, picture: str | None) -> Any:
    """See `Presented.plot`.

    Raises:
        ConfigError: there is no such picture.
    """
    from qdiag.results.pictures import pictures_of

    found = pictures_of(result)
    name = next(iter(found), "") if picture is None else picture
    if name not in found:
        raise ConfigError(f"there is no picture {name!r}", at="`picture`", hint=nearest_hint(name, list(found)))
    return found[name]()


def save(result: Result, path: str | Path) -> Path:
    """See `Presented.save`."""
    from qdiag.files.atomic import write_file
    from qdiag.writers.json.diagnosis import diagnosis_to_json
    from qdiag.writers.json.measurement import to_json
    from qdiag.writers.json.results import result_to_json

    if isinstance(result, Diagnosis):
        text = diagnosis_to_json(result)
    else:
        text = to_json(result) if isinstance(result, Measurement) else result_to_json(result)
    write_file(Path(path), text)
    return Path(path)


def write_folder(result: Diagnosis, folder: str | Path) -> Path:
    """See `PresentedDiagnosis.report`."""
    from qdiag.results.scheme_files import write_scheme_files
    from qdiag.writers.report_dir import write_report

    write_report(write_scheme_files(result, folder), folder)
    return Path(folder) / "report.html"


def _source(result: Result) -> tuple[str, str]:
    """The model, and the samples in words."""
    measured = result.measurement if isinstance(result, Diagnosis) else result
    data = measured.data
    drawn = "drawn " if data.is_data_free else ""
    same = ", which calibrate too" if data.calibrates_on_measured and not isinstance(result, RangeReport) else ""
    return measured.model.source, count_noun(data.measured_count, f"{drawn}sample") + same
