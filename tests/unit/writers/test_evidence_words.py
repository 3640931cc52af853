"""What detectors saw and what repairs cost, in whole terms on every surface."""

import re
from pathlib import Path

import pytest

from qdiag.core.causes.findings import Evidence
from qdiag.reading.words.evidence import TERMS, evidence_words

ROOT = Path(__file__).parents[3] / "qdiag"
NAMES = sorted(
    {
        name
        for room in ("detectors", "repairs", "simulate")
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r'Evidence\(\s*"([a-z0-9_]+)"', path.read_text(encoding="utf-8"))
    }
)


def test_every_figure_of_a_detector_or_a_repair_has_a_term() -> None:
    assert len(NAMES) > 60
    missing = [name for name in NAMES if name not in TERMS and name.removesuffix("_db") not in TERMS]
    assert not missing, f"give them terms in qdiag/reading/words/evidence.py: {missing}"


def test_no_term_is_kept_for_a_figure_that_is_gone() -> None:
    assert set(TERMS) <= {*NAMES, *(name.removesuffix("_db") for name in NAMES)}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            Evidence("mean_shift_fraction", 31.0, "%", 25.0),
            "31 % of the noise power are constant shifts of channels (limit 25)",
        ),
        (Evidence("idle_inputs", 1.0, "channels"), "1 input channel carries nothing and sets the range"),
        (
            Evidence("output_sqnr_alone_db", 3.25, "dB"),
            "with this layer alone quantized, the weakest output has an SQNR of 3.2 dB",
        ),
        (
            Evidence("fused_local_sqnr", -2.25, "dB", 28.0),
            "in the fused convolution the local SQNR is -2.2 dB (limit 28)",
        ),
        (
            Evidence("range_over_live", 114.0, "x", 1.0),
            "the largest weight of a dead channel is 114 times the largest of the live ones (limit 1)",
        ),
        (
            Evidence("bits_left", 0.0563, "bits", 5.0, 8.0),
            "0.06 of 8 bits are left to the median channel (limit 5)",
        ),
        (Evidence("bits_left", -0.996, "bits", None, 8.0), "none of 8 bits are left to the median channel"),
        (Evidence("bits_left", 3.42, "bits", 5.0, 8.0), "3.4 of 8 bits are left to the median channel (limit 5)"),
        (Evidence("score_levels", 12.26, "steps", 32.0, 255.0), "the scores span 12.3 of 255 steps (limit 32)"),
        (Evidence("dead_channels", 1.0, "", None, 32.0), "the weights of 1 of 32 channels are close to zero"),
        (
            Evidence("setting_channels", 1.0, "channels", None, 16.0),
            "1 of 16 channels has larger weights than every live one",
        ),
        (
            Evidence("variance_over_eps", 1.5512e-26, "x"),
            "the variance is 1.6e-26 times the eps of the BatchNorm",
        ),
        (Evidence("range_over_others", 12.6, "x"), "the range is 12.6 times that of the other channels"),
        (Evidence("range_over_others", 80.049, "x"), "the range is 80 times that of the other channels"),
        (Evidence("range_over_others", 14821.3, "x"), "the range is 14,821 times that of the other channels"),
        (Evidence("range_over_others", 1.4821e30, "x"), "the range is 1.48e+30 times that of the other channels"),
        (Evidence("integer_max_abs", 4.2e11, "steps"), "the largest bias is 420,000,000,000 steps of its integer"),
        (Evidence("integer_max_abs", 1.8080374e33, "steps"), "the largest bias is 1.81e+33 steps of its integer"),
        (Evidence("clipped_fraction", 0.0123, "%"), "0.012 % of the values are clipped"),
        (Evidence("clipped_fraction", 1.0, "%"), "1 % of the values are clipped"),
        (Evidence("of_a_newer_version", 2.0), "of a newer version: 2"),
        (Evidence("extra_scales", 1408.0, "scales"), "1,408 scales have to be stored in addition"),
        (Evidence("extra_weight_bytes", 843_264.0, "bytes"), "the wider weights take more memory, 843 kB"),
        (
            Evidence("wide_activation_bytes", 13_600.0, "bytes per sample"),
            "the wider activations take more memory, 13.6 kB per sample",
        ),
    ],
)
def test_a_figure_in_words(evidence: Evidence, words: str) -> None:
    assert evidence_words(evidence) == words
