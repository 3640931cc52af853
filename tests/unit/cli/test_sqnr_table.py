import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from qdiag.cli.options.common import Order, SortKey
from qdiag.cli.tables.sqnr import footer_lines, next_step, print_measurement
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.float_ops import FloatShare
from qdiag.core.measures.measurement import OutputPart, OutputRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import PairedCounts, TaskChoice
from qdiag.reading.words.layer_row import layer_rows
from qdiag.reading.words.numbers import decibel_words, decibels, percent
from tests.figures import classified
from tests.measurements import many_records, measurement, small_records, sums


def printed(records: tuple[OpRecord, ...], order: Order, sort: SortKey, top: int | None, color: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=color, highlight=False)
    print_measurement(console, measurement(records), order, sort, top)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def footer(records: tuple[OpRecord, ...]) -> str:
    return "\n".join(line.plain for line in footer_lines(measurement(records), layer_rows(records)))


def test_the_footer_names_the_weakest_layer_and_where_the_signal_first_gets_low() -> None:
    text = footer(small_records())
    assert "The lowest local SQNR is 4.1 dB, at blocks.0.dw;" in text
    assert "first falls below 20 dB at blocks.0.dw: 3.9 dB, 32.0 dB below what feeds it." in text


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_an_output_of_zeros_has_no_figure(noise: float) -> None:
    zeros = OutputRecord("mute", (10,), ErrorSums(count=100, error_sq_sum=noise))
    silent = replace(measurement(small_records()), outputs=(zeros,))
    console = Console(file=io.StringIO(), width=160, highlight=False)
    print_measurement(console, silent, "graph", "local", None)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "SQNR of mute not known: the float output is zero everywhere" in text
    assert "No verdict is possible: what quantization costs is not known: the float output is zero everywhere." in text
    assert not re.search(r"\binf dB", text) and "Healthy" not in text and "No harm" not in text


def test_the_header_names_the_weakest_part_of_an_output() -> None:
    (output,) = measurement(small_records()).outputs
    parts = OutputPart("channel 0", sums(41.0)), OutputPart("channel 1", sums(2.5))
    console = Console(file=io.StringIO(), width=160, highlight=False)
    divided = replace(measurement(small_records()), outputs=(replace(output, parts=parts),))
    print_measurement(console, divided, "graph", "local", None)
    assert isinstance(console.file, io.StringIO)
    assert "; 2.5 dB at channel 1, its weakest part" in console.file.getvalue()
    unjudged = replace(divided, task=replace(divided.task, figures=(), choice=TaskChoice()))
    console = Console(file=io.StringIO(), width=160, highlight=False)
    print_measurement(console, unjudged, "graph", "local", None)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "weakest output SQNR 2.5 dB" in said and "Harmed: the weakest output SQNR is 2.5 dB" in said
    assert "weakest part" not in printed(small_records(), "graph", "local", None)


def test_the_footer_of_a_healthy_network_says_so_without_judging() -> None:
    healthy = tuple(replace(r, local=sums(40.0), propagated=sums(35.0 - r.index)) for r in small_records())
    assert "stays at 20 dB or above; lowest at softmax: 27.0 dB." in footer(healthy)


def test_the_footer_names_a_part_of_an_output_that_is_lost_in_a_sound_tensor() -> None:
    rows = layer_rows(tuple(replace(r, local=sums(40.0), propagated=sums(35.0)) for r in small_records()))
    (output,) = measurement().outputs
    parts = OutputPart("channel 0", sums(41.0)), OutputPart("channel 1", sums(11.8))
    task = replace(measurement().task, figures=(), choice=TaskChoice())
    divided = replace(measurement(), outputs=(replace(output, error=sums(40.0), parts=parts),), task=task)
    said = " ".join(line.plain for line in footer_lines(divided, rows))
    assert "Over whole tensors, propagated SQNR stays at 20 dB or above, lowest at input:x with 35.0 dB; " in said
    assert f"; channel 1 of {output.name} has 11.8 dB. Harmed: the weakest output SQNR is 11.8 dB" in said


@pytest.mark.parametrize(
    ("counts", "said", "told"),
    [
        (
            PairedCounts(390, 100, 0, 10),
            "Harmed: the loss of top-1 is 20.0 pp (95 %:",
            "Next: a diagnosis finds out why, and",
        ),
        (PairedCounts(490, 0, 0, 10), "Healthy: the loss of top-1 is 0.0 pp (95 %:", "why the layers marked with !"),
        (
            PairedCounts(50, 0, 0, 0),
            "No harm measured, too few samples to be sure: the loss",
            "why the layers marked with !",
        ),
        (
            PairedCounts(48, 2, 1, 0),
            "Too few samples to tell: the loss of top-1 is 2.0 pp",
            "Next: measure more samples",
        ),
    ],
)
def test_the_last_lines_follow_the_figure_that_judges(counts: PairedCounts, said: str, told: str) -> None:
    """Whatever the SQNR of the layers is: one of these lies far below what is expected of it."""
    task = classified(counts.sample_count, counts.both, counts)
    measured, rows = replace(measurement(), task=task), layer_rows(small_records())
    assert footer_lines(measured, rows)[-1].plain.startswith(said)
    step = next_step(measured, rows)
    assert step.startswith("Next: ") and told in step and (step.endswith(":") == ("diagnosis" in told or "!" in told))


def test_the_last_lines_know_of_a_lost_output_and_of_a_share_in_float() -> None:
    sound = replace(measurement(), task=classified(500, 490, PairedCounts(490, 0, 0, 10)))
    beside = replace(sound.outputs[0], name="map", error=sums(3.0))
    lost = replace(sound, outputs=(*sound.outputs, beside))
    lines = [line.plain for line in footer_lines(lost, layer_rows(small_records()))]
    assert lines[-1].startswith(
        "An output is lost, which the figure that judges does not show (output map has 3.0 dB of SQNR left, below"
        " 20.0 dB): the loss of top-1 is 0.0 pp"
    )
    assert "finds out why" in next_step(lost, layer_rows(small_records()))
    mostly = replace(sound, float_share=FloatShare(0.5, 0.0))
    lines = [line.plain for line in footer_lines(mostly, layer_rows(small_records()))]
    assert lines[-1].startswith("No harm measured, with a reservation (50 % of the weights stayed in float): the loss")
    unlabelled = replace(sound, task=replace(sound.task, figures=(), choice=TaskChoice()))
    lines = [line.plain for line in footer_lines(unlabelled, layer_rows(small_records()))]
    assert lines[-1].startswith("Harmed: the weakest output SQNR is")


def test_the_footer_of_a_lossless_network() -> None:
    lossless = tuple(replace(r, local=sums(math.inf), propagated=sums(math.inf)) for r in small_records())
    assert "No quantized layer lost anything" in footer(lossless)


def test_sorting_by_propagated_marks_its_own_weakest() -> None:
    text = printed(small_records(), "worst", "propagated", None)
    assert ">> blocks.0.pw" in text
    assert ">> lowest propagated SQNR" in text


@pytest.mark.parametrize(("top", "shown"), [(None, 25), (3, 3), (0, 60), (99, 60)])
def test_top_limits_the_rows_and_says_how_many_are_left(top: int | None, shown: int) -> None:
    text = printed(many_records(60), "worst", "local", top)
    table = text[text.index("operation") : text.index("The lowest local SQNR")]
    assert sum("backbone.features" in line for line in table.splitlines()) == shown
    assert (f"{60 - shown} more layers are not shown" in text) == (shown < 60)


def test_graph_order_shows_all_rows() -> None:
    assert "more layer" not in printed(many_records(60), "graph", "local", None)


def test_the_weakest_layer_is_red_and_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = printed(small_records(), "worst", "local", None, color=True)
    assert "\x1b[1;31m>! blocks.0.dw" in text
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(small_records(), "worst", "local", None, color=True)
    assert "\x1b[1;31m" not in text
    assert ">! blocks.0.dw" in text


def test_numbers() -> None:
    assert [decibels(v) for v in (4.06, -0.01, math.inf, -math.inf, math.nan)] == ["4.1", "0.0", "exact", "-inf", "-"]
    assert [decibel_words(v) for v in (4.06, -0.01, math.inf)] == ["4.1 dB", "0.0 dB", "exact"]
    assert [percent(v) for v in (0.0, 1e-5, 0.1234, 1.0, math.nan)] == ["0.0", "<0.1", "12.3", "100.0", "-"]
