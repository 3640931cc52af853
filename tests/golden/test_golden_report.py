"""report.md word for word, of a harmed, a healthy and an unlabelled network."""

from collections.abc import Callable

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import PictureLink
from tests.diagnoses import diagnosis, doubtful_diagnosis, healthy_diagnosis, unlabelled_diagnosis

LINKS = (
    PictureLink("causes", "What each repair recovers", "plots/causes.png"),
    PictureLink("sqnr", "SQNR by layer", "plots/sqnr.png"),
    PictureLink("channels", "Weight range of blocks.0.dw", "plots/layer002_blocks.0.dw_channels.png", "blocks.0.dw"),
)


@pytest.mark.parametrize(
    ("name", "found", "must_say"),
    [
        ("harmed", diagnosis(), "qdiag fix-bn net.safetensors -o net.fixed.safetensors"),
        ("healthy", healthy_diagnosis(), "**Nothing to repair"),
        ("unlabelled", unlabelled_diagnosis(), "agreement with the float network's own answers, not accuracy"),
        ("doubtful", doubtful_diagnosis(), "The inputs do not seem to be prepared as in training"),
    ],
)
def test_report(name: str, found: Diagnosis, must_say: str, check_golden: Callable[[str, str], None]) -> None:
    text = markdown_report(found, LINKS)
    assert must_say in text
    check_golden(f"report_{name}.md", text)
