"""What a long run will cost, in the words of a remark."""

import time
from typing import TYPE_CHECKING

from qdiag.cli.console import remark
from qdiag.cli.waiting.clock import run_started_s
from qdiag.cli.waiting.words import duration
from qdiag.reading.words.numbers import count_noun

if TYPE_CHECKING:
    from qdiag.pipeline.estimate import Estimate
    from qdiag.simulate.session import Session


def announce(session: "Session", cost: "Estimate") -> None:
    """Says what a run will cost, to the user and to whatever shows how far it is."""
    session.expect(cost.harmed)
    remark(cost_words(cost, time.perf_counter() - run_started_s()), quiet=False)


def cost_words(cost: "Estimate", gone_s: float) -> str:
    """`about 50 s in all, 9 s of which are over (500 samples, 3.1 s for a float pass)`.

    Where it is not known yet whether there is something to repair, what that would take is told apart.

    Args:
        gone_s: what the run took until now.
    """
    gone_s = max(gone_s, 0.0)  # a run that was not announced begins where it is asked for
    passes = f" ({count_noun(cost.sample_count, 'sample')}, {cost.pass_s:.1f} s for a float pass)"
    if cost.is_known:
        return f"about {duration(gone_s + cost.harmed_s)} in all, {duration(gone_s)} of which are over{passes}"
    more = duration(cost.harmed_s - cost.healthy_s)
    whole = f"about {duration(gone_s + cost.healthy_s)} in all, {duration(gone_s)} of which are over"
    return f"{whole}, and {more} more if there is something to repair{passes}"
