"""Times of a run in words."""

from collections.abc import Mapping

_LEAST_S = 0.05
"""A stage that took less is no news."""
REST = "the rest"


def duration(seconds: float) -> str:
    """`25 s` below a minute and a half, `2.5 min` below ten, `12 min` below an hour and a half, `2.5 h` above."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 600.0:
        return f"{seconds / 60.0:.1f} min"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def times_words(times: Mapping[str, float], rest: str) -> str:
    """`41.3 s (start 2.1, capture 1.2, ..., report 0.4, the rest 0.2)`: the parts, as printed, add up to the whole.

    Args:
        times: seconds of all stages, which together are the whole. rest: the stage that is none.
    """
    total = round(10 * sum(times.values()))
    tenths = {name: round(10 * spent) for name, spent in times.items() if name != rest and spent >= _LEAST_S}
    left = total - sum(tenths.values())
    while left < 0:  # all were rounded up
        largest = max(tenths, key=lambda name: tenths[name])
        tenths[largest], left = tenths[largest] - 1, left + 1
    parts = [f"{name} {count / 10:.1f}" for name, count in tenths.items()]
    parts += [f"{REST} {left / 10:.1f}"] if left else []
    return f"{total / 10:.1f} s" + (f" ({', '.join(parts)})" if tenths else "")
