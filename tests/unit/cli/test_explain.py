"""`qdiag explain`: the list, one page, names in every spelling, and the nearest to an unknown one."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from qdiag.cli.app import run
from qdiag.cli.commands.explain import find_code
from qdiag.core.causes.codes import CODES
from qdiag.errors import ConfigError


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines())


def test_the_list(check_golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    text = printed(capsys)
    assert [code.code for code in CODES if code.code not in text or code.title not in text] == []
    check_golden("explain.txt", text)


def test_a_page(check_golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "QD301"]) == 0
    check_golden("explain_QD301.txt", printed(capsys))


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_every_page_fits(code: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert run(["explain", code.code]) == 0  # type: ignore[attr-defined]
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 72
    assert len(lines) > 20


@pytest.mark.parametrize("name", ["qd301", "Qd301", "dead_batchnorm_channels", "dead-batchnorm-channels", " QD301 "])
def test_names_in_every_spelling(name: str) -> None:
    assert find_code(name).code == "QD301"


def test_an_unknown_code_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "dead_batchnorm_chanels"]) == 2
    error = capsys.readouterr().err
    assert "no finding is called 'dead_batchnorm_chanels'" in error
    assert "did you mean QD301 (dead_batchnorm_channels)?" in error


def test_a_word_like_no_code() -> None:
    with pytest.raises(ConfigError) as caught:
        find_code("zzz")
    assert caught.value.hint == "`qdiag explain` lists all codes"


@pytest.mark.parametrize("text", ["QD999", "QD9", "qd9xx", "999"])
def test_a_number_that_is_no_code_names_the_family(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", text]) == 2
    assert "QD9xx, numerics: QD901, QD902, QD903; `qdiag explain` lists all codes" in capsys.readouterr().err


def test_words_find_titles_and_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "dead"]) == 0
    titles, _, pages = capsys.readouterr().out.partition("Pages with 'dead'")
    assert "QD301" in titles
    assert "QD107" in pages
    assert "QD601" not in titles + pages
    assert run(["explain", "zero variance"]) == 0
    assert "QD301" in capsys.readouterr().out


def test_torch_is_not_loaded() -> None:
    program = (
        "import sys; from qdiag.cli.commands.explain import explain; explain('QD301'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
