"""Schemes for the processor that runs the tests: without VNNI, onnxruntime and torch saturate pairs of products."""

from dataclasses import replace

import pytest

from qdiag.core.scheme import QuantScheme
from qdiag.runtimes.processor import saturates_pairs


def as_here(scheme: QuantScheme) -> QuantScheme:
    """The scheme with the sums of this processor."""
    return replace(scheme, pair_saturation=saturates_pairs())


def skip_where_trained_otherwise() -> None:
    """For tests on networks that they train: without VNNI (and AVX-512) float sums are added in another order."""
    if saturates_pairs():
        pytest.skip("the network that this test trains comes out otherwise on processors without VNNI")
