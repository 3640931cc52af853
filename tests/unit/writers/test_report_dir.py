import csv
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.errors import WriteError
from qdiag.writers.json.diagnosis import read_diagnosis
from qdiag.writers.plots import pictures
from qdiag.writers.report_dir import write_report
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.other_tasks import judged_by_error, judged_by_sqnr


@pytest.mark.usefixtures("one_layer_drawn")
def test_the_folder_holds_everything_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    said: list[str] = []
    written = write_report(diagnosis(), folder, progress=said.append)
    names = {path.relative_to(folder).as_posix() for path in written}
    assert {"diagnosis.json", "report.md", "report.html", "layers.csv", "plots/sqnr.png", "plots/sqnr.svg"} <= names
    assert names == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written[0].name == said[0] == "diagnosis.json"
    links = re.findall(r"\]\(([^)#:]+)\)", (folder / "report.md").read_text(encoding="utf-8"))
    assert len(links) > 8
    assert all((folder / link).is_file() for link in links)
    for picture in (folder / "plots").iterdir():
        if picture.suffix == ".svg":
            assert ElementTree.parse(picture).getroot().tag.endswith("svg")
        else:
            assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("task", [diagnosis, lambda: judged_by_error(diagnosis()), lambda: judged_by_sqnr(diagnosis())])
def test_what_was_written_gives_the_same_report_again(task: Callable[[], Diagnosis], tmp_path: Path) -> None:
    write_report(task(), tmp_path / "a", parts=("json", "md", "csv"))
    write_report(read_diagnosis(tmp_path / "a"), tmp_path / "b", parts=("json", "md", "csv"))
    for name in ("diagnosis.json", "report.md", "layers.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_layers_carry_causes_findings_ranges_and_sensitivity(tmp_path: Path) -> None:
    write_report(diagnosis(), tmp_path, parts=("csv",))
    with (tmp_path / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["layer"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(diagnosis().measurement.records)
    wide = rows["blocks.12.dw"]
    assert wide["causes"] == "QD301 QD101"
    assert rows["blocks.0.dw"]["findings"] == "QD301 QD101"
    assert float(wide["weight_max"]) == 68.0
    assert float(wide["measured_max"]) == pytest.approx(6.12)
    assert float(rows["blocks.0.dw"]["alone_task_value"]) == pytest.approx(6.0)
    assert rows["softmax"]["causes"] == rows["softmax"]["weight_max"] == ""


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    written = write_report(healthy_diagnosis(), tmp_path, parts=("md",))
    assert [path.name for path in written] == [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert "![" not in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("one_layer_drawn")
def test_pictures_of_layers_of_an_earlier_report_are_taken_away_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = pictures.report_pictures
    monkeypatch.setattr(pictures, "report_pictures", lambda found: [one for one in every(found) if one.layer])
    plots = tmp_path / "plots"
    plots.mkdir()
    for name in ("layer002_blocks.0.dw_channels.svg", "layer999_gone_outputs.svg", "layer1_mine.svg", "notes.txt"):
        (plots / name).write_text("old", encoding="utf-8")
    write_report(diagnosis(), tmp_path, parts=("svg",))
    assert not (plots / "layer999_gone_outputs.svg").exists()
    assert (plots / "layer1_mine.svg").read_text(encoding="utf-8") == "old"
    assert (plots / "notes.txt").exists()
    assert (plots / "layer002_blocks.0.dw_channels.svg").read_text(encoding="utf-8") != "old"


def test_a_second_diagnosis_is_in_the_html(tmp_path: Path) -> None:
    write_report(repaired_diagnosis(), tmp_path, before=diagnosis(), parts=("html",))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for found in (diagnosis(), repaired_diagnosis()):
        assert found.measurement.model.digest[:12] in page


@pytest.mark.usefixtures("one_layer_drawn")
def test_awkward_figures_and_names_make_a_report_too(tmp_path: Path) -> None:
    written = write_report(awkward_diagnosis(), tmp_path, parts=("json", "md", "csv", "svg"))
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in written)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WriteError, match="the folder cannot be made"):
        write_report(healthy_diagnosis(), tmp_path / "file" / "run", parts=("md",))
