"""docs/schemes.md says all and only what there is."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

from qdiag.config import preset_names
from qdiag.core.scheme import FormatName, QuantScheme, TensorScheme
from qdiag.numerics.quantizers import QUANTIZERS

PAGE = (Path(__file__).parents[3] / "docs" / "schemes.md").read_text(encoding="utf-8")


def rows_below(heading: str) -> set[str]:
    section = PAGE.split(heading, 1)[1].split("\n\n|", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE))


def test_every_preset_is_described() -> None:
    assert rows_below("# Schemes") == set(preset_names())


def test_every_field_is_described() -> None:
    assert rows_below("At the top:") == {f.name for f in fields(QuantScheme)} - {"weights", "activations"}
    assert rows_below("In `[weights]` and `[activations]`:") == {f.name for f in fields(TensorScheme)}


def test_every_number_format_is_described_and_there() -> None:
    assert rows_below("## Number formats") == set(get_args(FormatName)) == set(QUANTIZERS)
