"""What a file has behind the part that is measured, on every surface."""

from dataclasses import replace

import pytest

from qdiag.cli.tables.sqnr_header import capture_lines
from qdiag.core.measures.measurement import LeftOut
from qdiag.reading.words.network_end import network_end_words, written_end_words
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import diagnosis

SUPPRESSION = LeftOut("NonMaxSuppression", "nms", is_first=True)
GATHER = LeftOut("Gather", "<boxes>", is_first=False)


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ((SUPPRESSION,), "NonMaxSuppression (nms), because"),
        ((SUPPRESSION, GATHER), "NonMaxSuppression (nms) and 1 operator behind it, because"),
        (
            (SUPPRESSION, replace(SUPPRESSION, name="nms2"), GATHER, GATHER),
            "NonMaxSuppression (nms), NonMaxSuppression (nms2) and 2 operators behind them, because",
        ),
    ],
)
def test_it_is_counted_and_named(left_out: tuple[LeftOut, ...], expected: str) -> None:
    words = network_end_words(left_out)
    assert words is not None and words.startswith(f"the end of the file is not measured: {expected}")


def test_every_surface_says_it() -> None:
    whole = diagnosis()
    left = (SUPPRESSION, GATHER)
    measurement = replace(whole.measurement, capture=replace(whole.measurement.capture, left_out=left))
    part = replace(whole, measurement=measurement)
    lines = [text for _, text in capture_lines(measurement.capture)]
    (line,) = [text for text in lines if "not measured" in text.plain]
    assert str(line.style) == "yellow"
    words = "The end of the file is not measured: NonMaxSuppression (nms) and 1 operator behind it"
    for surface in (markdown_report, html_report):
        assert words in " ".join(surface(part).replace("\N{NO-BREAK SPACE}", " ").split())
        assert "end of the file is not measured" not in surface(whole)


def test_a_file_that_is_written_says_whether_it_has_the_end() -> None:
    assert written_end_words((), has_own_graph=True) is None
    own, other = (written_end_words((SUPPRESSION, GATHER), has_own_graph=own) for own in (True, False))
    assert own == "it ends as the model's own file does, in NonMaxSuppression and what stands behind it"
    assert other is not None and other.startswith("it ends in the outputs that are measured: NonMaxSuppression")
