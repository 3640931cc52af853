"""The numbers behind the charts and the layer panel, as JSON that stays small for deep networks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.bn import BatchNormRecord
from qdiag.core.measures.ranges import TensorRange
from qdiag.core.measures.records import LossRecord
from qdiag.reading.layers.repaired import repaired_title, with_repairs
from qdiag.reading.words.bn import cost_sentence
from qdiag.reading.words.layer_row import weakest
from qdiag.reading.words.numbers import count_noun
from qdiag.writers.html.graph_view import graph_payload
from qdiag.writers.html.layer_view import LayerView, fact_words, layer_views

_LEVELS_DRAWN = 64
"""The page draws no more of them: see `pictures.js`."""
_BINS_AT_MOST = 96
_CHANGED = ("Weight", "Weight SQNR", "What it multiplies", "Quantizer", "In float")
"""What repairs change of a layer; other words differ with the samples that were looked at."""

Json = dict[str, Any]


def run_payload(key: str, title: str, layers: Sequence[LayerView], diagnosis: Diagnosis, whiskers: int) -> Json:
    """One run for the script of the page. Figures carry four digits; infinite and undefined ones are strings.

    Args:
        key: `before` or `after`.
        whiskers: channels drawn per layer at most; beyond that, neighbours share one.
    """
    worst = weakest(layer.row for layer in layers)
    audit = diagnosis.batchnorms
    norms = {norm.layer.name: norm for norm in reversed(audit.records) if norm.layer} if audit else {}
    readers: dict[str, list[str]] = {}
    for layer in layers:
        for name in layer.record.inputs:
            readers.setdefault(name, []).append(layer.record.name)
    after = with_repairs(diagnosis)
    repaired = {layer.record.name: layer for layer in layer_views(after)} if after is not None else {}
    return {
        "key": key,
        "title": title,
        "weakest": worst.record.name if worst else None,
        "graph": graph_payload(layers, diagnosis),
        "repaired": repaired_title(diagnosis),
        "layers": [
            _layer(layer, readers.get(layer.record.name, []), norms.get(layer.record.name), whiskers)
            | {"after": _after(layer, repaired.get(layer.record.name))}
            for layer in layers
        ],
    }


def _after(layer: LayerView, repaired: LayerView | None) -> Json | None:
    """The same layer in the repaired network: its figures, and what is said of it in other words than before."""
    if repaired is None:
        return None
    known = dict(fact_words(layer))
    changed = [
        (label, words) for label, words in fact_words(repaired) if label in _CHANGED and known.get(label) != words
    ]
    return {
        "local": short_number(repaired.row.local_db),
        "propagated": short_number(repaired.row.propagated_db),
        "facts": changed,
    }


def _layer(layer: LayerView, readers: list[str], norm: BatchNormRecord | None, whiskers: int) -> Json:
    record, facts, losses = layer.record, layer.facts, layer.record.losses
    weight = facts.weight if facts else None
    channels = facts.channels if facts else None
    return {
        "name": record.name,
        "short": layer.entry.short,
        "op": layer.entry.op,
        "source": record.source,
        "is_float": layer.row.is_float,
        "local": short_number(layer.row.local_db),
        "propagated": short_number(layer.row.propagated_db),
        "expected": short_number(record.expected_sqnr_db),
        "drop": short_number(layer.row.drop_db),
        "inputs": list(record.inputs),
        "readers": readers,
        "findings": [
            {
                "code": finding.code,
                "title": finding.title,
                "verdict": finding.verdict,
                "words": finding.verdict_words,
                "channels": list(finding.channels),
                "details": list(finding.details),
            }
            for finding in layer.entry.findings
        ],
        "facts": fact_words(layer),
        "grid": _grid(layer),
        "histogram": _histogram(record.range) if record.range else None,
        "weights": _whiskers(weight.channel_min, weight.channel_max, whiskers) if weight else None,
        "channels": _whiskers(channels.min, channels.max, whiskers) if channels else None,
        "losses": _losses(losses) if losses else None,
        "losses_on": f", on {count_noun(losses.sample_count, 'sample')}" if losses and losses.sample_count else "",
        "norm": _norm(norm, whiskers) if norm and norm.gain else None,
    }


def short_number(value: float) -> float | str | None:
    """Four significant digits; NaN is left out, infinities become strings, since JSON has neither."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.4g}")


def _grid(layer: LayerView) -> Json | None:
    grid = layer.record.quantizer
    if grid is None:
        return None
    low, high = map(short_number, grid.clip_bounds if grid.has_range else (grid.range_min, grid.range_max))
    step = short_number(grid.scale) if grid.scale is not None else None
    values = [short_number(level) for level in grid.levels] if grid.level_count <= _LEVELS_DRAWN else []
    bounds = {"low": low, "high": high, "clips": grid.has_range}
    return {**bounds, "step": step, "levels": grid.level_count, "values": values}


def _histogram(values: TensorRange) -> Json | None:
    """Bins merged by powers of two on the same grid, which is exact."""
    histogram = values.histogram
    if histogram is None or not histogram.counts:
        return None
    counts, first, width = list(histogram.counts), histogram.first_bin, histogram.bin_width
    while len(counts) > _BINS_AT_MOST:
        if first % 2:
            counts.insert(0, 0)
            first -= 1
        counts = [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)]
        first, width = first // 2, 2.0 * width
    low, high = short_number(values.min), short_number(values.max)
    return {"start": first * width, "width": width, "counts": counts, "min": low, "max": high}


def _whiskers(low: Sequence[float], high: Sequence[float], at_most: int) -> Json | None:
    if not low:
        return None
    per = -(-len(low) // at_most)
    return {"per": per, "count": len(low), "low": _grouped(low, per, min), "high": _grouped(high, per, max)}


def _grouped(values: Sequence[float], per: int, choose: Callable[[Sequence[float]], float]) -> list[float | str | None]:
    if per == 1:
        return [short_number(value) for value in values]
    return [short_number(choose(values[i : i + per])) for i in range(0, len(values), per)]


def _losses(losses: LossRecord) -> list[Json]:
    return [
        {"name": name, "sqnr": short_number(error.sqnr_db), "power": short_number(error.mse)}
        for name, error in losses.by_name.items()
    ]


def _norm(norm: BatchNormRecord, at_most: int) -> Json:
    per = -(-len(norm.gain) // at_most)
    return {
        "name": norm.label,
        "per": per,
        "count": len(norm.gain),
        "gain": _grouped([abs(gain) for gain in norm.gain], per, max),
        "dead": sorted({channel // per for channel in norm.dead_channels}),
        "outliers": sorted({outlier.channel // per for outlier in norm.outliers}),
        "sentence": cost_sentence(norm) if norm.range_cost else "",
    }
