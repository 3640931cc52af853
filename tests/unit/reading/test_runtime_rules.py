"""What is said where a runtime computes another network than the simulation of a quantized file."""

from dataclasses import replace

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.verification import Verification
from qdiag.reading.diagnosis import read
from qdiag.reading.proposals import IN_FILE, RUNTIME_HEADING
from qdiag.reading.words.deployed.edits import change_words
from qdiag.reading.words.deployed.file import deployed_lines
from qdiag.reading.words.deployed.rules import no_better_words, rules_words, runtime_settings
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import healthy_diagnosis
from tests.surfaces import assert_surfaces_agree


def run_of(found: Diagnosis) -> Verification:
    assert found.verification is not None
    return found.verification


def far_off(found: Diagnosis, runtime: str = "onnxruntime 1.32.0") -> Diagnosis:
    """Half of all integers differ in this runtime."""
    run = run_of(found)
    layers = tuple(replace(layer, differing_count=layer.count // 2) for layer in run.layers)
    operations = replace(run.operations, runtime=runtime)
    return replace(found, verification=replace(run, layers=layers, operations=operations))


def last_command(found: Diagnosis) -> str:
    (proposal,) = (one for one in read(found).proposals if one.heading == RUNTIME_HEADING)
    return proposal.commands[-1]


@pytest.mark.parametrize(
    ("runtime", "arithmetic"),
    [
        ("onnxruntime 1.32.0", "ort"),
        ("LiteRT 2.3.0, with XNNPACK", "xnnpack"),
        ("LiteRT 2.3.0, without delegates", "tflite"),
        ("LiteRT 2.3.0, reference kernels", "tflite-ref"),
    ],
)
def test_the_same_diagnosis_by_the_rules_of_the_runtime_is_proposed_on_every_surface(
    runtime: str, arithmetic: str
) -> None:
    found = far_off(deployed_diagnosis(), runtime)
    assert last_command(found).endswith(f"--set arithmetic={arithmetic}")
    assert f"with the arithmetic {arithmetic} the simulation follows" in rules_words(run_of(found))[-1]
    assert_surfaces_agree(found)


def test_no_harm_is_not_said_without_it_where_the_runtime_computes_otherwise() -> None:
    healthy = deployed_diagnosis(healthy_diagnosis())
    assert "reservation" not in read(healthy).headline
    found = read(far_off(healthy))
    assert found.state == "unsure" and "reservation" in found.state_words
    assert found.headline.startswith("No harm measured, with a reservation: in its runtime the file computes otherwise")
    assert "top-1 is " in found.headline and " % are simulated" in found.headline
    assert_surfaces_agree(far_off(healthy))


def test_pairs_that_saturate_here_are_part_of_it() -> None:
    found = far_off(deployed_diagnosis())
    found = replace(found, verification=replace(run_of(found), adds_pairs=True))
    assert last_command(found).endswith("--set arithmetic=ort --set pair_saturation=true")


def test_nothing_is_proposed_where_little_differs_or_the_rules_are_followed() -> None:
    found = deployed_diagnosis()
    assert RUNTIME_HEADING not in [one.heading for one in read(found).proposals]
    assert rules_words(run_of(found))  # which setting makes them equal is said all the same
    run = run_of(far_off(found))
    followed = replace(run, scheme=replace(run.scheme, arithmetic="ort"))
    assert runtime_settings(followed) == () and rules_words(followed) == ()
    assert RUNTIME_HEADING not in [one.heading for one in read(replace(found, verification=followed)).proposals]


def test_a_repaired_file_that_answers_no_better_in_its_runtime_is_told() -> None:
    found = deployed_diagnosis()
    run = run_of(found)
    same = replace(found, repaired_run=run, repaired_file="fixed.onnx")
    words = no_better_words(same)
    assert words.endswith("no better than the file that was read: top-1 9.0 %, 9.0 % before.")
    assert words in markdown_report(same).replace("\\", "") and words.rstrip(".") in html_report(same).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert no_better_words(found) == ""
    judged = run.deployed_task.judged
    assert judged is not None
    better = replace(run.deployed_task, figures=tuple(
        replace(figure, simulated=figure.simulated + 1.0) for figure in run.deployed_task.figures
    ))  # fmt: skip
    assert no_better_words(replace(same, repaired_run=replace(run, deployed_task=better))) == ""


def test_the_end_that_the_file_alone_has_is_told() -> None:
    file = deployed_diagnosis().measurement.deployed
    assert file is not None and "run up to" not in " ".join(deployed_lines(file))
    ended = replace(file, left_out=("NonMaxSuppression (nms)",))
    assert "it is run up to NonMaxSuppression (nms), because how many" in " ".join(deployed_lines(ended))


def test_integers_that_change_under_the_same_scale_are_not_told_as_a_scale_that_became_itself() -> None:
    edit = deployed_diagnosis().file_edits[1]
    assert change_words(replace(edit, count=1)) == "other integers, 8 bits, scale 0.0117, zero point 40 as before"


def test_a_change_of_scheme_that_the_repaired_file_holds_is_not_said_to_be_left_to_others() -> None:
    found = deployed_diagnosis()
    way = found.ranking.way_around
    assert way is not None
    for waterfall in (found.ranking.waterfall, ()):
        one = replace(found, ranking=replace(found.ranking, waterfall=waterfall))
        told = [sentence for proposal in read(one).proposals if proposal.change for sentence in proposal.remarks]
        assert told and (IN_FILE in told) == (not waterfall) == (not any("No command" in words for words in told))
