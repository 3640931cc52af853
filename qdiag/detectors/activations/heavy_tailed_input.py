"""The values of an input spread over many orders of magnitude, and most lie below one step of its quantizer.

What it means:
    Power spectra, mel energies, counts and concentrations have few values that are huge, and most of their information
    is in the small ones. Steps of one size are made for the huge values, and the small ones are rounded to zero before
    the first layer reads them. The input's own SQNR need not show it: the huge values have nearly all of the power.
    These are not rare outliers, which could be clipped at no cost (QD201), and not channels in different units (QD208),
    though an input may have either as well. A logarithm or a root that reads the input has a code of its own (QD207).

How it is computed:
    These are measured on the calibration data, for inputs of the network:

    values_below_step [%]: share of the values, zeros left out, within one step of zero, from their histogram
    kurtosis: fourth standardized moment; 3 for a Gaussian, 9 for the power of noise
    reader_sqnr [dB]: SQNR of a layer that reads the input, with its inputs quantized alone (its local SQNR where the
        losses were not measured); of the weakest one, or what rounding leaves of the input where that is less

Thresholds:
    It is reported where half of the values lie below one step, the kurtosis is at least 9, and less than 20 dB are
    left. Images have 1 to 3 % of their values below one step, and a kurtosis below 3.

What helps:
    Take the logarithm or a root before the network, in preprocessing, or keep the input in 16 bits or in float. Clip
    the huge values where they carry no information.

Sources:
    Wang et al., arXiv 1607.05666, section 1 (the range of speech in mel bands, and what compresses it); Gholami et al.,
    arXiv 2103.13630, section III-F (steps of one size, and values that are not spread evenly).
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.graph import INPUT
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import (
    DetectionContext,
    below_step_percent,
    finding,
    has_own_quantizer,
    rounding_sqnr_db,
)

CODE = "QD209"
REPAIRS: tuple[str, ...] = (
    "clip_activations_mse",
    "clip_activations_percentile",
    "activations_16bit",
    "keep_float",
)

BELOW_STEP_PERCENT = 50.0
KURTOSIS = 9.0
READER_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """Inputs of which most is rounded away, and is missed."""
    sites = []
    for record, _ in context.layers:
        if record.kind != INPUT or record.range is None or not has_own_quantizer(record):
            continue
        percent, reader_db = below_step_percent(record), _reader_sqnr_db(context, record)
        if percent >= BELOW_STEP_PERCENT and record.range.kurtosis >= KURTOSIS and reader_db < READER_DB:
            evidence = (
                Evidence("values_below_step", percent, "%", BELOW_STEP_PERCENT),
                Evidence("kurtosis", record.range.kurtosis, "", KURTOSIS),
                Evidence("reader_sqnr", reader_db, "dB", READER_DB),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _reader_sqnr_db(context: DetectionContext, record: OpRecord) -> float:
    """What the rounding of this input leaves, there or one layer on."""
    seen = [rounding_sqnr_db(record)]
    for reader in context.readers(record):
        error = reader.losses.input if reader.losses is not None and reader.losses.input.count else reader.local
        lost = error.simulated_nonfinite_count > error.reference_nonfinite_count
        seen.append(-math.inf if lost else error.sqnr_db)
    return min((value for value in seen if not math.isnan(value)), default=math.nan)
