"""Limits from files, environment and command line: which one counts, and what is refused."""

import math
from pathlib import Path
from typing import Any

import pytest

from qdiag.config.gate_file import GateSettings, gate_settings, thresholds_of
from qdiag.core.thresholds import Allowance, Limit
from qdiag.errors import ConfigError


def read(folder: Path, environment: dict[str, str] | None = None, **options: Any) -> GateSettings:
    return gate_settings(options, environment=environment or {}, folder=folder)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_options_before_environment_before_qdiag_toml_before_pyproject(tmp_path: Path) -> None:
    write(
        tmp_path,
        "pyproject.toml",
        "[project]\nname = 'x'\n[tool.qdiag.gate]\nmax_drop = 4\nmin_sqnr = 14\nforbid = []\n",
    )
    assert read(tmp_path).thresholds.max_drop_pp == Limit(4.0)
    write(tmp_path, "qdiag.toml", "[gate]\nmax_drop = 3\nmax_flips = 13\n")
    assert read(tmp_path).thresholds.max_drop_pp == Limit(3.0)
    environment = {"QDIAG_MAX_DROP": "2", "QDIAG_REAL_DATA": "somewhere", "PATH": "x"}
    assert read(tmp_path, environment).thresholds.max_drop_pp == Limit(2.0)
    found = read(tmp_path, environment, max_drop=1.0)
    assert found.thresholds.max_drop_pp == Limit(1.0)
    assert found.thresholds.max_flips_percent == Limit(13.0)
    assert found.thresholds.min_sqnr_db == Limit(14.0)
    assert "--max-drop" in found.sources


def test_every_key_of_a_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        "qdiag.toml",
        """
        [gate]
        max_drop = { fail = 1.0, warn = 0.5 }
        max-relative-drop = 2
        min_accuracy = 70
        warn_accuracy = 75
        max_flips = 5
        min_sqnr = 20
        min_layer_sqnr = { warn = 15 }
        no_new_causes = "warn"
        forbid = { fail = ["QD301"], warn = ["qd302", "QD302"] }
        baseline = "ci/base.json"
        tolerance = 0.5
        tolerance_db = 2
        max_metric_drop = { fail = 0.05, warn = 0.02 }
        min_metric = { warn = -3 }
        max-metric = 0.4
        warn_max_metric = 0.3
        tolerance-metric = { fail = 0.01 }
        strict = true
        [gate.allow]
        "blocks.0.*" = 5
        head = -inf
        """,
    )
    found = read(tmp_path)
    limits = found.thresholds
    assert limits.max_drop_pp == Limit(1.0, 0.5)
    assert limits.max_relative_drop_percent == Limit(2.0)
    assert limits.min_accuracy_percent == Limit(70.0, 75.0)
    assert limits.min_layer_sqnr_db == Limit(None, 15.0)
    assert limits.max_metric_drop == Limit(0.05, 0.02)
    assert limits.min_metric == Limit(None, -3.0)
    assert limits.max_metric == Limit(0.4, 0.3)
    assert limits.tolerance_metric == Limit(0.01)
    assert limits.no_new_causes == "warn"
    assert (limits.forbid, limits.warn_codes) == (("QD301",), ("QD302",))
    assert limits.strict
    assert {a.pattern: a.min_sqnr_db for a in limits.allow} == {"blocks.0.*": 5.0, "head": -math.inf}
    assert found.baseline == str(tmp_path / "ci" / "base.json")  # meant from the file
    assert limits.needs_baseline
    assert limits.can_fail


def test_lists_and_flags_of_the_environment_and_of_options(tmp_path: Path) -> None:
    environment = {"QDIAG_FORBID": "QD301, QD302", "QDIAG_ALLOW": "a.*=5,b=x=7", "QDIAG_STRICT": "yes"}
    limits = read(tmp_path, environment).thresholds
    assert limits.forbid == ("QD301", "QD302")
    assert [(a.pattern, a.min_sqnr_db) for a in limits.allow] == [("a.*", 5.0), ("b=x", 7.0)]
    assert limits.strict
    more = read(tmp_path, environment, forbid=["QD101"], allow=["a.*=6"], no_new_causes=True).thresholds
    assert more.forbid == ("QD101",)
    assert [(a.pattern, a.min_sqnr_db) for a in more.allow] == [("a.*", 6.0), ("b=x", 7.0)]
    assert more.no_new_causes == "fail"
    assert not read(tmp_path, {"QDIAG_STRICT": "0", "QDIAG_NO_NEW_CAUSES": "off"}).thresholds.strict


def test_limits_on_the_judged_figure_from_the_environment(tmp_path: Path) -> None:
    environment = {"QDIAG_MAX_METRIC_DROP": "0.05", "QDIAG_WARN_MIN_METRIC": "30", "QDIAG_TOLERANCE_METRIC": "0.1"}
    limits = read(tmp_path, environment, max_metric_drop=0.02).thresholds
    assert limits.max_metric_drop == Limit(0.02)
    assert limits.min_metric == Limit(None, 30.0)
    assert limits.tolerance_metric == Limit(0.1)
    assert limits.needs_baseline


def test_a_sign_of_percent_may_stand_beside_a_number(tmp_path: Path) -> None:
    write(
        tmp_path,
        "qdiag.toml",
        "[gate]\nmin_accuracy = '0.7 %'\nmax_drop = { fail = '1pp', warn = 0.5 }\nmax_metric = { warn = '0.3%' }\n",
    )
    limits = read(tmp_path, {"QDIAG_MAX_METRIC_DROP": "0.4%"}, min_metric="40%", tolerance="0.5").thresholds
    assert limits.min_accuracy_percent == Limit(0.7, None, is_percent=True)
    assert limits.max_drop_pp == Limit(1.0, 0.5, is_percent=True)
    assert limits.max_metric == Limit(None, 0.3, is_percent=True)
    assert limits.max_metric_drop == Limit(0.4, is_percent=True)
    assert limits.min_metric == Limit(40.0, is_percent=True)
    assert limits.tolerance_pp == Limit(0.5)


def test_parameters_in_python_are_read_as_keys_of_a_file() -> None:
    found = thresholds_of({"max_drop": 1.0, "min_metric": "0.4%", "allow": {"head": -math.inf}, "max_flips": None}, "f")
    assert (found.max_drop_pp, found.min_metric) == (Limit(1.0), Limit(0.4, is_percent=True))
    assert (found.allow, found.max_flips_percent) == ((Allowance("head", -math.inf),), Limit())
    with pytest.raises(ConfigError, match=r"percent are needed") as caught:
        thresholds_of({"min_accuracy": 0.7}, "assert_quantizes")
    assert "assert_quantizes" in str(caught.value)
    assert caught.value.hint == "write 70 for 70 %, or '0.7%' if that is meant"


def test_nothing_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.other]\nx = 1\n")
    assert read(tmp_path, forbid=[], strict=False, max_drop=None).thresholds.is_empty


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gate]\nmax_dorp = 1", ("unknown key max_dorp", "did you mean max_drop?")),
        ("[gate]\nmax_drop = { fial = 1 }", ("unknown key fial", "did you mean fail?")),
        ("[gat]\nmax_drop = 1", ("unknown table or key gat", "[gate]")),
        ("gate = 3", ("is not a table",)),
        ("[gate]\nmax_drop = true", ("max_drop = true: a number is needed",)),
        ("[gate]\nmax_drop = nan", ("a finite number",)),
        ("[gate]\nmin_accuracy = 0.7", ("percent are needed", "70 %")),
        ("[gate]\nmin_accuracy = 170", ("percent are needed",)),
        ("[gate]\nmin_accuracy = '170%'", ("percent are needed",)),
        ("[gate]\nmin_sqnr = '20%'", ("a number is needed",)),
        ("[gate]\nmin_metric = '%'", ("a number is needed",)),
        ("[gate.allow]\nhead = '5%'", ("a number is needed",)),
        ("[gate]\ntolerance = -1", ("not negative",)),
        ("[gate]\ntolerance_metric = -1", ("not negative",)),
        ("[gate]\nmin_metric = { fail = 20, warn = 10 }", ("nobody would ever be warned",)),
        ("[gate]\nmax_metric = { fail = 10, warn = 20 }", ("nobody would ever be warned",)),
        ("[gate]\nmax_metric_dorp = 1", ("did you mean max_metric_drop?",)),
        ("[gate]\nmax_drop = { fail = 1, warn = 2 }", ("nobody would ever be warned",)),
        ("[gate]\nmin_sqnr = 20\nwarn_sqnr = 10", ("nobody would ever be warned",)),
        ("[gate]\nforbid = ['QD31']", ("no finding has the code QD31", "QD301, QD302")),
        ("[gate]\nforbid = [301]", ("a list of codes",)),
        ("[gate]\nstrict = 'maybe'", ("true or false",)),
        ("[gate]\nstrict = { fail = true }", ("has no levels",)),
        ("[gate]\nno_new_causes = 'always'", ("true or false",)),
        ("[gate]\nallow = 3", ("allow is not a table",)),
        ("[gate]\nbaseline = 3", ("a path is needed",)),
        ("[gate\n", ("not valid TOML",)),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = write(tmp_path, "qdiag.toml", text)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    said = f"{caught.value} {caught.value.hint}"
    assert str(path) in said
    assert all(word in said for word in words)


def test_a_misspelt_variable_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown variable QDIAG_MAX_DORP") as caught:
        read(tmp_path, {"QDIAG_MAX_DORP": "1"})
    assert caught.value.hint == "did you mean QDIAG_MAX_DROP?"
    for variable in ("QDIAG_CACHE", "QDIAG_X", "QDIAG_"):
        with pytest.raises(ConfigError, match=f"unknown variable {variable}"):
            read(tmp_path, {variable: "x"})
    for text in ("", " "):
        with pytest.raises(ConfigError, match="QDIAG_MAX_DROP is empty"):
            read(tmp_path, {"QDIAG_MAX_DROP": text})
    assert read(tmp_path, {"QDIAG_CACHE_DIR": "", "QDIAG_CACHE_MB": "1", "OTHER": ""}).thresholds.is_empty


@pytest.mark.parametrize("text", ["*=-inf", "**=-inf", "?*=-inf", "x=inf", "x=nan", "*=inf"])
def test_an_allowance_is_a_number_or_an_exemption_of_some_layers(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exempts every layer|a finite number"):
        read(tmp_path, allow=[text], min_layer_sqnr=10.0)
    pattern, _, db = text.partition("=")
    write(tmp_path, "qdiag.toml", f'[gate.allow]\n"{pattern}" = {db}\n')
    with pytest.raises(ConfigError, match=r"exempts every layer|a finite number"):
        read(tmp_path)


def test_an_allowance_without_a_figure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LAYER=DB"):
        read(tmp_path, allow=["head"])
    with pytest.raises(ConfigError, match="a number is needed"):
        read(tmp_path, allow=["head=low"])


def test_one_file_by_name(tmp_path: Path) -> None:
    write(tmp_path, "qdiag.toml", "[gate]\nmax_drop = 3\n")
    (tmp_path / "ci").mkdir()
    other = write(tmp_path / "ci", "gate.toml", "[gate]\nmin_sqnr = 7\nbaseline = 'b.json'\n")
    found = gate_settings({}, environment={}, folder=tmp_path, config=other)
    assert found.thresholds.max_drop_pp == Limit()
    assert found.thresholds.min_sqnr_db == Limit(7.0)
    assert found.baseline == str(tmp_path / "ci" / "b.json")
    empty = write(tmp_path, "empty.toml", "")
    with pytest.raises(ConfigError, match=r"no table \[gate\]"):
        gate_settings({}, environment={}, folder=tmp_path, config=empty)
    with pytest.raises(ConfigError, match="no such file"):
        gate_settings({}, environment={}, folder=tmp_path, config=tmp_path / "absent.toml")


@pytest.mark.parametrize("text", ["tool = 'x'", "[tool]\nqdiag = 3", "[tool.qdiag]\ngate = 'strict'"])
def test_what_should_be_a_table_of_a_project_and_is_none(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, "pyproject.toml", text)
    with pytest.raises(ConfigError, match="is not a table") as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)
