"""The example of docs/qat.md comes out as it stands there."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "qat.md"


def test_the_example_comes_out_as_written() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried >= 12
    assert failed == 0
