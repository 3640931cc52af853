"""A file that cannot be imported before the collection is imported by it, which says what is wrong."""

import sys
from pathlib import Path

import pytest

from tests.first_imports import import_alone


@pytest.mark.parametrize(
    "line", ["raise ValueError('no')", "import pytest\npytest.skip('no', allow_module_level=True)", "1 +"]
)
def test_what_cannot_be_imported_stays_unknown(line: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    file = tmp_path / "test_broken_here.py"
    file.write_text(f"{line}\n", encoding="utf-8")
    before = set(sys.modules)
    import_alone(file, pytestconfig)
    assert not [name for name in set(sys.modules) - before if "broken" in name]


def test_what_can_be_is_not_imported_twice(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    file = tmp_path / "test_counted_here.py"
    file.write_text("import os\nos.environ['TIMES'] = os.environ.get('TIMES', '') + 'x'\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMES", "")
        import_alone(file, pytestconfig)
        import_alone(file, pytestconfig)
        import os

        assert os.environ["TIMES"] == "x"
    (name,) = [name for name in sys.modules if "counted_here" in name]
    del sys.modules[name]
