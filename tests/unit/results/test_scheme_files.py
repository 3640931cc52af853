"""The schemes that a report proposes lie beside it, say all that the settings say, and are what the commands name."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from qdiag.cli.app import run
from qdiag.cli.tables.ranking import print_ranking
from qdiag.config import load_scheme
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.scheme import QuantScheme
from qdiag.reading.proposals import proposals
from qdiag.reading.words.causes import commands, way_around_commands
from qdiag.reading.words.commands.repairing import plan_settings
from qdiag.results.scheme_files import scheme_texts, write_scheme_files
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import diagnosis, healthy_diagnosis


def terminal(found: Diagnosis) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_ranking(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def unnamed(scheme: QuantScheme) -> QuantScheme:
    return replace(scheme, name="", description="")


@pytest.fixture
def found() -> Diagnosis:
    """Harmed under a preset, with a change of scheme and a repair of the plan."""
    made = diagnosis()
    scheme = load_scheme("tf-uint8", ["layers.'stem.*'.activations.bits=16"])
    options = ("--data", "photos", "--scheme", "tf-uint8", "--set", "layers.'stem.*'.activations.bits=16", "--no-fold")
    return replace(made, measurement=replace(made.measurement, scheme=scheme), options=options)


def test_a_file_says_what_the_settings_say(found: Diagnosis, tmp_path: Path) -> None:
    written = write_scheme_files(found, tmp_path / "run 1")
    way = found.ranking.way_around
    assert way is not None
    given = ["layers.'stem.*'.activations.bits=16"]
    assert unnamed(load_scheme(written.scheme_file)) == unnamed(load_scheme("tf-uint8", [*given, *way.settings]))
    settings = plan_settings(found.ranking)
    assert settings
    repaired = load_scheme(written.repaired_scheme_file)
    assert unnamed(repaired) == unnamed(load_scheme("tf-uint8", [*given, *settings]))
    text = Path(written.scheme_file).read_text(encoding="utf-8")
    assert text.startswith("# tf-uint8") and "one weight scale per channel" in text.splitlines()[0]


def test_commands_name_the_file_in_place_of_the_scheme_and_its_settings(found: Diagnosis, tmp_path: Path) -> None:
    written = write_scheme_files(found, tmp_path)
    way = written.ranking.way_around
    assert way is not None
    (line,) = way_around_commands(written, way)
    assert line.endswith(f" --data photos --scheme {tmp_path / 'scheme.toml'}")
    assert commands(written)[-1].endswith(f" --data photos --scheme {tmp_path / 'repaired_scheme.toml'}")
    assert "--set" in commands(found)[-1]
    for surface in (terminal, markdown_report, html_report):
        text = surface(written)
        assert str(tmp_path / "scheme.toml") in text and str(tmp_path / "repaired_scheme.toml") in text


def test_nothing_is_written_where_there_is_nothing_to_propose(tmp_path: Path, found: Diagnosis) -> None:
    for made in (healthy_diagnosis(), replace(found, options=()), replace(found, options=("--quantized", "x.onnx"))):
        assert write_scheme_files(made, tmp_path / "none") == made or not scheme_texts(made)
        assert not (tmp_path / "none").exists()
    wrong = replace(found.ranking.way_around, settings=("weights.bits=99",))  # type: ignore[type-var]
    assert "scheme.toml" not in scheme_texts(replace(found, ranking=replace(found.ranking, way_around=wrong)))


def test_to_repair_it_is_said_of_what_writes_something(found: Diagnosis) -> None:
    assert "To repair it:" in terminal(found) and "To repair it:" in markdown_report(found)
    plan = tuple(step for step in found.ranking.waterfall if step.settings)
    assert plan
    measured = replace(found, ranking=replace(found.ranking, waterfall=plan))
    for text in (terminal(measured), markdown_report(measured)):
        assert "To repair it" not in text and "To measure it under the scheme that repairs it:" in text
    assert "To measure it under the scheme that repairs it" in html_report(measured)


def test_a_report_that_is_drawn_again_names_its_own_files(found: Diagnosis, tmp_path: Path) -> None:
    stored = write_scheme_files(found, tmp_path / "first").save(tmp_path / "first" / "diagnosis.json")
    again = tmp_path / "again"
    assert run(["report", str(stored), "-o", str(again), "--format", "md", "-q"]) == 0
    text = (again / "report.md").read_text(encoding="utf-8")
    assert str(again / "scheme.toml") in text and str(tmp_path / "first") not in text
    assert (again / "scheme.toml").read_bytes() == (tmp_path / "first" / "scheme.toml").read_bytes()


def test_a_scheme_that_leaves_nothing_quantized_is_not_proposed(tmp_path: Path) -> None:
    found = diagnosis()
    assert found.ranking.way_around is not None
    names = tuple(record.name for record in found.measurement.records if record.is_quantized and record.kind != "input")
    for layers, is_proposed in ((names, False), (names[1:], True)):
        settings = (f"float_layers={list(layers)}".replace("'", '"'),)
        way = replace(found.ranking.way_around, repair="keep_float", layers=layers, settings=settings)
        changed = replace(found, ranking=replace(found.ranking, way_around=way), options=("--scheme", "tf-uint8"))
        assert bool(way_around_commands(changed, way)) == is_proposed
        assert ("scheme.toml" in scheme_texts(changed)) == is_proposed
        assert any(proposal.change == way for proposal in proposals(changed)) == is_proposed
