"""Results in Python and in notebooks: short, with tables, pictures and files, and without torch."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import qdiag
from qdiag.core.causes.repair import ModelRepair, RepairStep
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateResult
from qdiag.errors import ConfigError, DataError, QdiagError
from qdiag.reading.words.causes import headline
from qdiag.reading.words.task.harm import measured_harm_words
from qdiag.results.summary import CALIBRATES_ON_MEASURED
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.foreign import hostile
from tests.measurements import measurement, range_report


@pytest.mark.parametrize("make", [diagnosis, healthy_diagnosis, measurement, range_report])
def test_a_cell_that_ends_in_a_result_prints_three_lines(make: object) -> None:
    assert callable(make)
    lines = repr(make()).splitlines()
    assert len(lines) == 3
    assert all(0 < len(line) < 400 for line in lines)
    assert "summary()" in lines[2]


def test_a_comparison_and_a_gate_print_three_lines() -> None:
    found = diagnosis()
    compared, gated = qdiag.compare(found, healthy_diagnosis(), force=True), qdiag.gate(found, max_drop=1.0)
    for result, first, second in (
        (compared, "Comparison of ", "Better: top-1"),
        (gated, "GateResult of net.safetensors", "The gate failed: 1 of 1 check did not hold."),
    ):
        lines = repr(result).splitlines()
        assert len(lines) == 3 and all(0 < len(line) < 400 for line in lines)
        assert lines[0].startswith(first) and lines[1].startswith(second)


def test_a_repair_prints_three_lines_whatever_came_of_it() -> None:
    seen, refused = measurement(), RepairStep("correct_bias", refused="no bias")
    made = ModelRepair(seen.model, (), 0.001, (RepairStep("equalize", ("a",), ("a.weight",)),), after=seen)
    for repair, second in (
        (made, measured_harm_words(seen)),
        (replace(made, after=None, unproved="there are no data"), "was not measured: there are no data"),
        (replace(made, steps=(refused,), after=None), "correct_bias was refused: no bias"),
    ):
        first, found, _ = repr(repair).splitlines()
        assert first.startswith("ModelRepair of ") and second in found
    assert len(repr(qdiag.demo()).splitlines()) == 2


def test_a_diagnosis_says_what_was_found_first() -> None:
    found = diagnosis()
    first, second, _ = repr(found).splitlines()
    assert first.startswith("Diagnosis of ") and first.endswith(" samples")
    assert second == headline(found) == found.summary().splitlines()[0]


def test_the_summary_names_every_suspect_and_every_command() -> None:
    found = diagnosis()
    text = found.summary()
    for cause in found.ranking.causes:
        assert f"{cause.rank}. " in text and cause.code in text
    assert "To repair it:\n  qdiag fix-bn " in text
    assert "Scheme changes:" in text
    assert "Weakest layers" in measurement().summary()
    assert "Widest ranges:" in range_report().summary()


def test_tables_have_a_row_for_each_layer_suspect_and_trial() -> None:
    found = diagnosis()
    assert list(found.to_pandas()["layer"]) == [record.name for record in found.measurement.records]
    causes = found.to_pandas("causes").set_index("code")
    assert list(causes.index) == [cause.code for cause in found.ranking.causes]
    best = found.ranking.causes[0].trials[0]
    assert best.recovery is not None
    assert causes.loc["QD301", "best_repair"] == best.repair
    assert causes.loc["QD301", "recovers"] == best.recovery.recovered_task
    trials = found.to_pandas("trials")
    assert len(trials) == sum(len(cause.trials) for cause in found.ranking.causes)
    assert trials["is_proved"].sum() == sum(trial.is_claim for c in found.ranking.causes for trial in c.trials)
    assert isinstance(measurement().to_pandas(), pd.DataFrame) and isinstance(range_report().to_pandas(), pd.DataFrame)
    with pytest.raises(ConfigError) as caught:
        found.to_pandas("cause")
    assert caught.value.hint == "did you mean causes?"


def test_tables_and_pages_have_the_figures_of_the_repaired_network() -> None:
    found = diagnosis()
    assert found.repaired_network is not None
    table = found.to_pandas().set_index("layer")
    for before, after in zip(found.measurement.records, found.repaired_network.records, strict=True):
        row = table.loc[before.name]
        assert row["local_sqnr_db"] == before.local.sqnr_db and row["repaired_local_sqnr_db"] == after.local.sqnr_db
        assert row["repaired_propagated_sqnr_db"] == after.propagated.sqnr_db
        assert row["repaired_sample_count"] == 32
    for page in (found._repr_html_(), markdown_report(found)):
        assert "local, repaired" in page
        assert "the local SQNR of the layer in the repaired network, on 32 of 500 samples." in page
    without = replace(found, repaired_network=None)
    assert not [name for name in without.to_pandas() if name.startswith("repaired")]
    assert "repaired [dB]" not in without._repr_html_()


def test_pictures_are_asked_for_by_name() -> None:
    assert isinstance(diagnosis().plot(), Figure)
    assert isinstance(diagnosis().plot("causes"), Figure)
    with pytest.raises(ConfigError, match="no picture 'snqr'") as caught:
        measurement().plot("snqr")
    assert caught.value.hint == "did you mean sqnr?"


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.names.append(tag)


def test_a_notebook_shows_the_first_page_and_nothing_of_a_name_becomes_an_element() -> None:
    allowed = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "img", "pre", "span"}
    for found in (diagnosis(), hostile(diagnosis())):
        page = found._repr_html_()
        elements = _Elements()
        elements.feed(page)
        assert set(elements.names) <= allowed
        assert elements.names.count("img") == 1 and elements.names.count("pre") == 2
        assert len(page) < 500_000
    page = diagnosis()._repr_html_()
    assert headline(diagnosis()) in page.replace("\N{NO-BREAK SPACE}", " ")
    assert ">--scheme tf-uint8</span>" in page, "an option and its value stay on one line"
    assert "pp of" in page and " pp of" not in page.replace("\N{NO-BREAK SPACE}", "_")
    assert "<table>" not in measurement()._repr_html_() and "<img" in range_report()._repr_html_()


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    file = diagnosis().save(tmp_path / "kept.json")
    again = qdiag.load_diagnosis(file).save(tmp_path / "again.json")
    assert again.read_bytes() == file.read_bytes()
    read, live = qdiag.load_diagnosis(file), awkward_diagnosis()
    assert read == qdiag.load_diagnosis(file) == diagnosis()
    assert qdiag.load_diagnosis(live.save(tmp_path / "awkward.json")) == live, "NaN is what was not measured"
    moved = replace(read.measurement.records[3], clipped_count=read.measurement.records[3].clipped_count + 1)
    records = (*read.measurement.records[:3], moved, *read.measurement.records[4:])
    assert replace(read, measurement=replace(read.measurement, records=records)) != read
    assert read != read.measurement and read != "kept.json"
    assert measurement().save(tmp_path / "m.json").stat().st_size > 1000
    assert range_report().save(str(tmp_path / "r.json")).stat().st_size > 1000


def test_compare_and_gate_take_results_and_paths(tmp_path: Path) -> None:
    before, after = diagnosis().save(tmp_path / "before.json"), repaired_diagnosis()
    assert qdiag.compare(before, after) == qdiag.compare(str(before), after)
    assert qdiag.compare(before, after).causes_with("gone")
    judged = [qdiag.gate(one, max_drop=1) for one in (diagnosis(), before, diagnosis().measurement)]
    assert [(type(one), one.status) for one in judged] == [(GateResult, "fail")] * 3
    assert qdiag.gate(before, forbid=["QD301"]).status == "fail"
    with pytest.raises(ConfigError, match="max_dorp"):
        qdiag.gate(before, max_dorp=1)


def test_stored_results_need_no_torch(tmp_path: Path) -> None:
    file = diagnosis().save(tmp_path / "kept.json")
    code = (
        "import qdiag, sys\n"
        "assert not {'numpy', 'pydantic', 'torch'} & set(sys.modules)\n"
        f"found = qdiag.load_diagnosis({str(file)!r})\n"
        "repr(found), found.summary(), qdiag.gate(found, max_drop=1), qdiag.compare(found, found)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_paths_are_read_as_the_command_line_reads_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels)
    stored = qdiag.measure(net, tmp_path / "data.npz")
    assert (stored.data.calibration_count, stored.data.measured_count) == (10, 30)
    given = qdiag.measure(net, pixels, calibration=pixels)
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    assert given.records[1].local == qdiag.measure(net, floats, calibration=floats).records[1].local
    assert given.data.preprocessing.endswith("stored NHWC uint8")
    with pytest.raises(ConfigError, match="the data are a path, and the calibration is not"):
        qdiag.measure(net, tmp_path / "data.npz", calibration=floats)
    with pytest.raises(ConfigError, match="`arch` and `trust` are for models that are read"):
        qdiag.measure(net, floats, arch="zoo:resnet18")
    with pytest.raises(DataError) as caught:
        qdiag.measure(net, tmp_path / "none.npz")
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == [f"hint: {caught.value.hint}"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no notes")
@pytest.mark.parametrize(
    "call",
    [
        lambda found: qdiag.gate(found),
        lambda found: qdiag.gate(found, max_dorp=1),
        lambda found: found.to_pandas("layrs"),
        lambda found: found.plot("layrs"),
        lambda found: qdiag.compare("nowhere", found),
        lambda found: qdiag.load_diagnosis("nowhere"),
        lambda found: qdiag.load_scheme("in8"),
        lambda found: qdiag.load_model("nowhere.pt2"),
        lambda found: qdiag.measure(3, [torch.zeros(2, 3)]),
    ],
)
def test_errors_of_every_public_function_carry_their_hint_once(
    call: Callable[[Diagnosis], object],
) -> None:
    with pytest.raises(QdiagError) as caught:
        call(diagnosis())
    assert caught.value.hint
    assert caught.value.__notes__ == [f"hint: {caught.value.hint}"]


def test_what_calibrates_on_the_measured_samples_says_so() -> None:
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.randn(6, 3, 8, 8)
    same, apart = qdiag.measure(net, images), qdiag.measure(net, images, calibration=images + 1.0)
    assert same.data.calibrates_on_measured and not apart.data.calibrates_on_measured
    told = CALIBRATES_ON_MEASURED.format(samples="6 samples")
    assert repr(same).splitlines()[0].endswith("on 6 samples, which calibrate too") and told in same.summary()
    assert repr(apart).splitlines()[0].endswith("on 6 samples") and told not in apart.summary()


def test_the_demo_is_repaired_from_python(tmp_path: Path) -> None:
    model, (images, labels), calibration = qdiag.demo()
    data = (images[:100], labels[:100])
    found = qdiag.repair(
        model, data, "reset_variance_mean", calibration=calibration, output=tmp_path / "net.safetensors"
    )
    assert found.before is not None and found.after is not None
    before, after = found.before.task.judged, found.after.task.judged
    assert before is not None and after is not None
    assert before.simulated < 20.0 < 90.0 < after.simulated
    assert found.written_to == str(tmp_path / "net.safetensors")
    again = qdiag.load_model(tmp_path / "net.safetensors", arch=model.architecture)
    assert (
        qdiag.gate(qdiag.measure(again, data, calibration=calibration, scheme="tf-uint8"), min_accuracy=90).status
        != "fail"
    )
