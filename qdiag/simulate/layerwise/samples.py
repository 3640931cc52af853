"""How many samples are behind the figures of layers, and which layers have so few values that all samples are."""

import math
from collections.abc import Mapping
from typing import Literal

from qdiag.simulate.arithmetic.saturating import WIDE
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.passes.spread import spread_over

Depth = Literal["errors", "repaired", "full errors", "losses", "facts", "full facts"]
"""How much is measured: the errors of layers, on some of the samples, on those of `facts` because the network is a
repaired one that is compared with them, or on all; the five losses of each layer too; what detectors look at as well,
with layers and losses on some of the samples or on all."""
LOSS_SAMPLES = 32
"""Samples behind the five losses, where they are not measured in full: as few whole batches as hold them. A layer has
thousands of values in each, and the shares of the losses differ little from image to image."""
LEAST_VALUES = 10_000
"""Values of every layer behind its figures, where these are not those of all samples. The noise power of so many is
known to a few hundredths of a dB where they are independent, which those of one image are not."""
_LEAST: Mapping[Depth, int] = {"errors": 32, "repaired": 64, "facts": 64}
"""Samples behind the figures of layers, at least."""
_MOST = 128
"""And at most; layers that have less than `LEAST_VALUES` in so many are measured on all of them."""


def layer_samples(case: Case, depth: Depth) -> int:
    """Samples behind the figures of most layers: as many as give each of these `LEAST_VALUES`.

    All of them where sums can leave their range, because a few samples may be those that do, and where no layer has so
    many values.
    """
    whole = case.measured.sample_count
    values = [count for count in _values(case).values() if count * _MOST >= LEAST_VALUES]
    if depth not in _LEAST or may_wrap(case) or not values:
        return whole
    return max(_LEAST[depth], math.ceil(LEAST_VALUES / min(values)))


def on_layer_samples(case: Case, depth: Depth) -> Case:
    """The case with as many of the samples as most layers need; as it is where these are all."""
    return on_some(case, layer_samples(case, depth))


def sparse_layers(case: Case, depth: Depth) -> frozenset[str]:
    """Layers with so few values that they are measured on all samples where others are on some: last ones as a rule."""
    if on_layer_samples(case, depth) is case:
        return frozenset()
    return frozenset(name for name, count in _values(case).items() if count * _MOST < LEAST_VALUES)


def shares(case: Case, depth: Depth) -> tuple[float, float]:
    """Of the samples: of those behind the figures of most layers, and of the others, whose outputs take a run of their
    own.
    """
    share = on_layer_samples(case, depth).measured.sample_count / max(case.measured.sample_count, 1)
    return share, 1.0 - share


def loss_batches(case: Case) -> frozenset[int] | None:
    """Some batches; all where sums can leave their range, because a few samples may be those that do."""
    return None if may_wrap(case) else spread_over(case.measured, LOSS_SAMPLES)


def may_wrap(case: Case) -> bool:
    """Sums can leave their range, and a few samples may be those where they do."""
    scheme = case.plan.scheme
    return scheme.accumulator_bits < WIDE or scheme.pair_saturation


def _values(case: Case) -> Mapping[str, float]:
    """Of each layer for one sample, as far as calibration saw it, on whichever axis its samples are."""
    names = [layer.name for layer in case.network.graph.layers if layer.name in case.observations]
    ranges = {name: case.observations[name].statistics.range for name in names}
    samples = max(case.calibration.sample_count, 1)
    return {name: (seen.count + seen.nonfinite_count) / samples for name, seen in ranges.items()}
