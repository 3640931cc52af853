"""A diagnosis as JSON and back, exactly. Starts fast: whoever reads one waits for nothing that only a run needs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from qdiag.core.causes.findings import Finding
from qdiag.core.causes.ranking import Harm, Ranking, Trial
from qdiag.core.causes.score import FloatCost, Score
from qdiag.core.diagnosis import DIAGNOSIS_SCHEMA_VERSION, Diagnosis
from qdiag.reading.words.layer_row import layer_rows
from qdiag.writers.json.measurement import DERIVED
from qdiag.writers.json.read import read_json, read_stored
from qdiag.writers.plain_json import dump, to_plain

FILE_NAME = "diagnosis.json"
"""Of the diagnosis in the folder that `qdiag diagnose -o` writes."""

DIAGNOSIS_DERIVED: dict[type, Sequence[str]] = {
    **DERIVED,
    Score: ("output_sqnr_db", "task_value"),
    Trial: ("is_claim",),
    FloatCost: ("is_too_much",),
    Harm: ("unit", "state"),
    Finding: ("channel_count",),
    Ranking: ("remainder",),
}
"""Properties written beside the stored fields."""

_HINT = "give the diagnosis.json that `qdiag diagnose MODEL --data IMAGES -o DIR` writes"


def diagnosis_to_json(diagnosis: Diagnosis) -> str:
    """The diagnosis, field by field; equal diagnoses give equal bytes.

    Two runs on the same files differ in their `stages` alone, which are wall times. Infinite and undefined values are
    written as the strings "Infinity", "-Infinity" and "NaN".
    """
    plain = to_plain(diagnosis, DIAGNOSIS_DERIVED)
    rows = layer_rows(diagnosis.measurement.records)
    for row, record in zip(rows, plain["measurement"]["records"], strict=True):
        record["drop_db"] = to_plain(row.drop_db, DIAGNOSIS_DERIVED)
    return dump(plain) + "\n"


def diagnosis_from_json(text: str) -> Diagnosis:
    """What `diagnosis_to_json` wrote; derived figures in the text are ignored.

    Raises:
        LoadError: not JSON, not a diagnosis, or written by a newer version; `at` is the place inside the text.
    """
    return read_json(text, _adapter(), "diagnosis", DIAGNOSIS_SCHEMA_VERSION, _HINT)


def diagnosis_file(path: str | Path) -> Path:
    """The file that `read_diagnosis` reads."""
    file = Path(path)
    return file / FILE_NAME if file.is_dir() else file


def read_diagnosis(path: str | Path) -> Diagnosis:
    """The diagnosis in a file, or in the folder that `qdiag diagnose -o` writes.

    Raises:
        LoadError: there is no such file, or it holds something else; `at` is the file and the place in it.
    """
    return read_stored(diagnosis_file(path), diagnosis_from_json, _HINT)


@cache
def _adapter() -> "TypeAdapter[Diagnosis]":
    """Made once, and only when a file is read: it takes longer than the reading."""
    return TypeAdapter(Diagnosis)
