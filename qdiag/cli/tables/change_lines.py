"""What a repair did to the float and to the quantized network, as lines of a header."""

from rich.text import Text

from qdiag.cli.tables.sqnr_header import Lines, agreement_words
from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Interval, PairedCounts


def float_change_lines(change: FloatChange, bound: float) -> Lines:
    """How far the float output moved, and what that did to its answers."""
    yield (
        "float",
        Text(
            f"output moved by {change.max_abs_delta:.1e} at most, {change.relative_delta:.1e} of its largest value "
            f"(bound {bound:.0e})"
        ),
    )
    if change.task.top1 is not None:
        counts = change.task.top1
        yield "", Text(f"top-1 {counts.reference_percent:.1f} % → {counts.simulated_percent:.1f} %")
    if change.task.agreement_count is not None:
        yield "", Text(agreement_words(change.task))


def quantized_lines(before: Measurement, after: Measurement) -> Lines:
    """The quantized network before and after, by every figure that both have."""
    word = before.scheme.name
    for name, old, new in (
        ("top-1", before.task.top1, after.task.top1),
        ("top-5", before.task.top5, after.task.top5),
    ):
        if old is not None and new is not None:
            yield word, _quantized_text(name, old, new)
            word = ""
    if before.task.agreement_count is not None and after.task.agreement_count is not None:
        shares = [100.0 * (t.agreement_count or 0) / max(t.sample_count, 1) for t in (before.task, after.task)]
        yield word, Text(f"same top-1 as the float network on {shares[0]:.1f} % → {shares[1]:.1f} %")
        word = ""
    for metric, metric_after in zip(before.task.metrics, after.task.metrics, strict=True):
        yield word, Text(f"{metric.name} {metric.simulated:.4g} → {metric_after.simulated:.4g}")
        word = ""
    for output, output_after in zip(before.outputs, after.outputs, strict=True):
        old_db, new_db = output.error.sqnr_db, output_after.error.sqnr_db
        yield word, Text(f"SQNR of {output.name} {old_db:.1f} → {new_db:.1f} dB")
        word = ""


def _quantized_text(name: str, old: PairedCounts, new: PairedCounts) -> Text:
    return Text.assemble(
        f"{name} ",
        (f"{old.simulated_percent:.1f} % → {new.simulated_percent:.1f} %", "bold"),
        f", {_distance_words(new.drop_pp, new.drop_interval_pp)}, {new.sample_count} samples",
    )


def _distance_words(drop_pp: float, interval: Interval) -> str:
    """`0.6 pp below float (95 %: -1.0 to 2.2)`; a gain, and its interval, the other way round."""
    if drop_pp < 0.0:
        return f"{-drop_pp:.1f} pp above float (95 %: {-interval.high:.1f} to {-interval.low:.1f})"
    return f"{drop_pp:.1f} pp below float (95 %: {interval.low:.1f} to {interval.high:.1f})"


def harmless_words(before: PairedCounts) -> str:
    """Said when the quantized network had lost nothing to begin with; empty otherwise."""
    interval = before.drop_interval_pp
    if interval.low > 0.0:
        return ""
    return (
        f"Harmless here: before the repair the drop was {before.drop_pp:.1f} pp (95 %: {interval.low:.1f} to "
        f"{interval.high:.1f}), nothing that {before.sample_count} samples can tell from chance."
    )
