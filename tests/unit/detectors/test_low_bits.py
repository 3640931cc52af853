"""QD110: what faint channels become under one magnitude of signs, and under a threshold."""

import math
from dataclasses import replace

from qdiag.core.measures.facts import SignFacts
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.detectors.base import DetectionContext
from qdiag.detectors.weights import revived_channels
from tests.contexts import CHANNELS, healthy, planted, sums

FAINT = (2, 5)


def faint(kind: str) -> DetectionContext:
    """Two channels of the body with a thousandth of the others' weights, in one magnitude for the tensor."""
    weight = healthy().measurement.record("body").weight
    assert weight is not None and isinstance(weight.quantizer, QuantizerRecord)
    quantizer = replace(weight.quantizer, type=kind, scale=None)
    means = tuple(1e-3 if c in FAINT else 1.0 for c in range(CHANNELS))
    has_signs = kind == "binary"
    positive = tuple(0.5 if has_signs or c not in FAINT else math.nan for c in range(CHANNELS))
    signs = SignFacts(positive, means, means, means, 72)
    record = {"local": sums(5.0), "weight": replace(weight, granularity="per_tensor", quantizer=quantizer)}
    return planted(healthy(), "body", record, {"signs": signs})


def test_signs_make_faint_channels_as_loud_as_the_others() -> None:
    found = revived_channels.find(faint("binary"))
    assert found is not None and [(site.layer, site.channels) for site in found.sites] == [("body", FAINT)]


def test_ternary_weights_make_faint_channels_zero() -> None:
    assert revived_channels.find(faint("ternary")) is None
