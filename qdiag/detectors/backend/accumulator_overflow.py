"""Sums of products do not fit the accumulator.

What it means:
    Integer products are added up in a register of fixed width. 32 bits hold 65,000 products of 8 bits; 16 bits hold
    one or two. A sum beyond it is limited or wraps, and a single large activation becomes a wrong one.

How it is computed:
    saturation_sqnr [dB]: SQNR of the sums held within `accumulator_bits`, against the exact sums of the same integers

Thresholds:
    It is reported where saturation_sqnr is below 40 dB. Errors of a hundredth of the amplitude on average are, here,
    few and large. The losses have to be measured (`--losses`).

What helps:
    Use a wider accumulator where the backend has one, or fewer bits for weights or activations.

Sources:
    Sheng et al., arXiv 1803.08607, section 2 (saturation at run time); de Bruin et al., arXiv 2004.11783.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.scheme import QuantScheme
from qdiag.detectors.base import DetectionContext, finding, lowest

CODE = "QD601"
REPAIRS: tuple[str, ...] = ("wide_accumulator", "reduce_weight_bits")

SATURATION_DB = 40.0
WIDE_BITS = 32


def find(context: DetectionContext) -> Finding | None:
    """Layers whose sums are limited by the accumulator; the worst first."""
    scheme = context.measurement.scheme
    sites = []
    for record, _ in context.layers:
        if record.losses is None or _adds_float_bias(scheme) or record.pairs is not None:
            continue  # pairs that leave int16 are part of the saturation loss, see QD602
        saturation = record.losses.saturation
        if saturation.count and saturation.sqnr_db < SATURATION_DB:
            evidence = (
                Evidence("saturation_sqnr", saturation.sqnr_db, "dB", SATURATION_DB),
                Evidence("accumulator", float(scheme.accumulator_bits), "bits"),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)


def _adds_float_bias(scheme: QuantScheme) -> bool:
    """The bias comes after the accumulator then, but is part of the sums that were measured; 32 bits hold the rest."""
    return scheme.bias == "float" and scheme.accumulator_bits >= WIDE_BITS
