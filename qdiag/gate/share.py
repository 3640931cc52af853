"""A share of samples against a limit: accuracy by itself, or how many answers change."""

import math

from qdiag.core.measures.task import Z_95
from qdiag.gate.contrast import SAMPLES_AT_MOST, Z_80


def share_samples_to_settle(hits: int, count: int, limit_percent: float) -> int | None:
    """How many more samples it takes until `wilson_interval` most likely leaves out the limit.

    The score interval leaves out L when `|share - L| > z_0.975 * sqrt(L(1 - L)/N)`; the share itself scatters by
    `sqrt(p(1 - p)/N)`. Both together hold in four runs out of five when
    `N = ((z_0.975 * sqrt(L(1 - L)) + z_0.8 * sqrt(p(1 - p))) / (p - L))^2`, p being the share seen so far.

    Returns:
        None when not even `SAMPLES_AT_MOST` would do, as when the share lies on the limit.
    """
    limit = limit_percent / 100.0
    if count == 0 or not 0.0 <= limit <= 1.0 or hits / count == limit:
        return None
    share = hits / count
    spread = Z_95 * math.sqrt(limit * (1 - limit)) + Z_80 * math.sqrt(share * (1 - share))
    needed = math.ceil((spread / (share - limit)) ** 2)
    return max(1, needed - count) if needed <= SAMPLES_AT_MOST else None
