"""Schemes for the processor that runs the tests: without VNNI, onnxruntime and torch saturate pairs of products."""

from dataclasses import replace

from qdiag.core.scheme import QuantScheme
from qdiag.runtimes.processor import saturates_pairs


def as_here(scheme: QuantScheme) -> QuantScheme:
    """The scheme with the sums of this processor."""
    return replace(scheme, pair_saturation=saturates_pairs())
