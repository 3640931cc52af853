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
        for room in ("detectors", "repairs")
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
            "share of the noise power that is a constant shift of channels: 31 % (limit 25)",
        ),
        (Evidence("idle_inputs", 1.0, "channels"), "input channels that carry nothing and set the range: 1 channel"),
        (
            Evidence("output_sqnr_alone_db", 3.25, "dB"),
            "SQNR of the weakest output with this layer alone quantized: 3.25 dB",
        ),
        (
            Evidence("fused_local_sqnr", -2.25, "dB", 28.0),
            "local SQNR of the fused convolution: -2.25 dB (limit 28)",
        ),
        (Evidence("of_a_newer_version", 2.0), "of a newer version: 2"),
        (Evidence("extra_scales", 1408.0, "scales"), "scales to store in addition: 1,408 scales"),
        (Evidence("extra_weight_bytes", 843_264.0, "bytes"), "memory of the wider weights in addition: 843 kB"),
        (
            Evidence("wide_activation_bytes", 13_600.0, "bytes per image"),
            "memory of the wider activations in addition: 13.6 kB per image",
        ),
    ],
)
def test_a_figure_in_words(evidence: Evidence, words: str) -> None:
    assert evidence_words(evidence) == words
