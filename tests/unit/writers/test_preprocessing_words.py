"""What is said of inputs that do not seem to be prepared as in training, and what to run then."""

from dataclasses import replace

from qdiag.core.measures.preprocessing import NormInput, PreprocessingCheck, PreprocessingTrial
from qdiag.core.measures.task import PairedCounts
from qdiag.reading.words.preprocessing import preprocessing_command, preprocessing_warning
from tests.diagnoses import diagnosis, doubtful_diagnosis

OFF, FITS = NormInput("bn1", 16, 1.099, 0.265), NormInput("bn1", 16, 0.1, 1.0)


def said(check: PreprocessingCheck | None) -> str | None:
    return preprocessing_warning(replace(diagnosis().measurement, preprocessing=check))


def test_nothing_is_said_of_healthy_inputs() -> None:
    assert said(None) is None
    assert said(PreprocessingCheck(64, (FITS,), 9, 64)) is None
    assert preprocessing_command(diagnosis()) is None


def test_a_proof_by_the_answers_names_both_figures_and_the_options() -> None:
    trial = PreprocessingTrial((("preset", "imagenet-stats"),), FITS, PairedCounts(9, 49, 1, 5))
    words = said(PreprocessingCheck(64, (OFF,), 10, 64, (trial,)))
    assert words is not None
    assert "On 64 samples float top-1 is 16 %; with --preset imagenet-stats it is 91 %." in words
    assert "bn1, is not what it saw there: its mean is 1.1 standard deviations away" in words
    without = said(PreprocessingCheck(0, (), 10, 64, (trial,)))
    assert without is not None and "BatchNorm" not in without


def test_what_the_statistics_alone_propose_does_not_claim_to_be_right_more_often() -> None:
    trial = PreprocessingTrial((("preset", "tf"),), FITS, PairedCounts(50, 2, 5, 7))
    words = said(PreprocessingCheck(64, (OFF,), 55, 64, (trial,))) or ""
    assert "With --preset tf its mean is 0.1 standard deviations away, and its variance is 1 times as large." in words
    assert "float top-1 is 86 % now and 81 % then, which is no clear difference" in words
    unlabelled = said(PreprocessingCheck(64, (OFF,), trials=(replace(trial, top1=None),))) or ""
    assert "With --preset tf its mean is 0.1" in unlabelled and "top-1" not in unlabelled


def test_where_nothing_fits_that_is_said() -> None:
    trials = (PreprocessingTrial((("preset", "tf"),), OFF), PreprocessingTrial((("pixel_scale", "1"),), OFF))
    assert "None of the 2 other presets" in (said(PreprocessingCheck(64, (OFF,), trials=trials)) or "")
    poor = said(PreprocessingCheck(64, (OFF,), 9, 64)) or ""
    assert "Check how they are scaled" in poor and "On 64 samples float top-1 is 14 %." in poor


def test_the_command_replaces_what_the_preset_takes_the_place_of() -> None:
    found = doubtful_diagnosis()
    assert preprocessing_command(found) == (
        "qdiag diagnose net.safetensors --data photos --scheme tf-uint8 --preset tf --crop 224"
    )
    order = PreprocessingTrial((("channel_order", "rgb"),), None, PairedCounts(9, 49, 1, 5))
    check = PreprocessingCheck(64, (), 10, 64, (order,))
    swapped = replace(
        found,
        measurement=replace(found.measurement, preprocessing=check),
        options=("--data", "photos", "--preset", "caffe", "--channel-order", "bgr", "--trust"),
    )
    command = preprocessing_command(swapped)
    assert command == "qdiag diagnose net.safetensors --data photos --preset caffe --trust --channel-order rgb"
