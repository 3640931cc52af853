"""A logarithm, a root or a division magnifies the rounding of what it reads.

What it means:
    A quantizer rounds to steps of one size, and a logarithm, a square root, a reciprocal or a division needs precision
    in proportion to the value: near zero, one step decides everything. Spectrograms (power, then logarithm) and
    normalization written by hand (variance, square root, division) are built this way. Values below half a step become
    zero, and then the result is the logarithm of the offset, or not finite.

How it is computed:
    function_sqnr [dB]: SQNR at the output of the function with its inputs quantized alone (its local SQNR where the
        losses were not measured); minus infinity where rounding makes it NaN or infinite and the float values are not
    lost_by_function [dB]: 10 log10( 12 mean(x^2) / scale^2 ) of the input that has least, minus function_sqnr
    values_below_step [%]: share of an input's values, zeros left out, within one step of zero; of the input with most

Thresholds:
    It is reported where function_sqnr is below 20 dB and at least 10 dB below what rounding leaves of the inputs, or
    where it is below 20 dB and half of an input's values lie below one step. The layers listed are the function and all
    that feeds it, back to the last multiplication by weights: their rounding is what is magnified. Where these weights
    add up powers, as the filters of a mel spectrum do, the list goes further back: the powers, and the layer that is
    squared, are listed too.

What helps:
    Use 16-bit activations from the last multiplication by weights to the function, or keep that part of the network in
    float. Where the function is near the input, compute it before the network's input is quantized.

Sources:
    keunwoochoi/kapre issue 138: a network with its spectrogram inside loses its accuracy in full-integer form.
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.graph import INPUT
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, below_step_percent, finding, holds_range, lowest, rounding_sqnr_db

CODE = "QD207"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

FUNCTION_DB = 20.0
LOST_DB = 10.0
KINDS = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "div", "pow")
BELOW_STEP_PERCENT = 50.0
_POWERS = ("pow", "square")
_CARRIES_POWERS = ("add", "pool", "pass", "clamp")
_WEIGHTED = ("conv", "conv_transpose", "linear", "matmul")


def find(context: DetectionContext) -> Finding | None:
    """Functions whose quantized inputs leave little of their output, with what feeds them."""
    sites: dict[str, FindingSite] = {}
    for record, _ in context.layers:
        if record.kind not in KINDS or record.quantizer is None or not holds_range(record):
            continue
        sqnr_db = _function_sqnr_db(record)
        sources = context.sources(record)
        inputs_db = min((_known(rounding_sqnr_db(s)) for s in sources), default=math.inf)
        below = max((percent for s in sources if not math.isnan(percent := below_step_percent(s))), default=0.0)
        if sqnr_db < FUNCTION_DB and (inputs_db - sqnr_db >= LOST_DB or below >= BELOW_STEP_PERCENT):
            evidence = (
                Evidence("function_sqnr", sqnr_db, "dB", FUNCTION_DB),
                Evidence("lost_by_function", inputs_db - sqnr_db, "dB", LOST_DB),
                Evidence("values_below_step", below, "%", BELOW_STEP_PERCENT),
            )
            for name in (record.name, *_feeding(context, record)):
                sites.setdefault(name, FindingSite(name, (), evidence))
    return finding(CODE, sites.values(), REPAIRS, worst=lowest)


def _function_sqnr_db(record: OpRecord) -> float:
    error = record.losses.input if record.losses is not None and record.losses.input.count else record.local
    if error.simulated_nonfinite_count > error.reference_nonfinite_count:
        return -math.inf
    return error.sqnr_db


def _known(sqnr_db: float) -> float:
    return math.inf if math.isnan(sqnr_db) else sqnr_db


def _feeding(context: DetectionContext, record: OpRecord) -> list[str]:
    """The layers between the function and the weights before it, those included; no inputs of the network."""
    found: dict[str, None] = {}
    waiting = list(context.sources(record))
    while waiting:
        source = waiting.pop(0)
        if source.kind == INPUT or source.name in found:
            continue
        found[source.name] = None
        if source.kind not in _WEIGHTED or _adds_powers(context, source):
            waiting.extend(context.sources(source))
    return list(found)


def _adds_powers(context: DetectionContext, record: OpRecord) -> bool:
    """What it multiplies by weights are squares, sums of them, or what pooling and moves make of them."""
    sources = context.sources(record)
    return any(
        _is_power(context, source) or (source.kind in _CARRIES_POWERS and _adds_powers(context, source))
        for source in sources
    )


def _is_power(context: DetectionContext, record: OpRecord) -> bool:
    """A power, or a product of one layer with itself: it has one input, and is nowhere negative though that is."""
    if record.kind in _POWERS:
        return True
    sources = context.sources(record)
    if record.kind != "mul" or len(sources) != 1 or record.range is None or sources[0].range is None:
        return False
    return record.range.min >= 0.0 > sources[0].range.min
