"""Sentences about a BatchNorm, the same in the table and in the picture."""

import math

from qdiag.core.listed import listed
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.reading.words.numbers import count_noun

_SHOWN = 4


def costliest(audit: BatchNormAudit) -> BatchNormRecord | None:
    """The record whose widest channels cost the others the most bits."""
    known = [record for record in audit.records if record.range_cost is not None]
    return max(known, key=lambda record: record.range_cost.cost_bits if record.range_cost else -math.inf, default=None)


def cost_sentence(record: BatchNormRecord) -> str:
    """`dw3.bn: channel 11 alone costs the other 31 channels 8.4 bits`."""
    cost = record.range_cost
    if cost is None:
        return f"{record.label}: nothing is known about its folded range"
    dead = "dead " if cost.is_dead else ""
    if len(cost.channels) == 1:
        who = f"{dead}channel {cost.channels[0]} alone costs"
    else:
        who = f"{len(cost.channels)} {dead}channels ({channel_list(cost.channels)}) cost"
    others = "live" if cost.charged_count < record.channels - len(cost.channels) else "other"
    whom = f"the {others} channel" if cost.charged_count == 1 else f"the {cost.charged_count} {others} channels"
    return f"{record.label}: {who} {whom} {cost.cost_bits:.1f} bits"


def dead_sentence(audit: BatchNormAudit) -> str:
    """How many channels are dead, and how many of them reach beyond the live ones."""
    count = audit.dead_count
    if count == 0:
        return "no channel is dead"
    norms = len({record.name for record in audit.records if record.dead})
    loud = {(r.name, d.channel) for r in audit.records for d in r.dead if d.sets_range}
    unpaired = {(r.name, d.channel) for r in audit.records for d in r.dead if math.isnan(d.range_over_live)} - loud
    head = f"{count_noun(count, 'dead channel')} in {count_noun(norms, 'BatchNorm')}"
    parts = []
    if loud:
        parts.append("1 sets the range of its layer" if len(loud) == 1 else f"{len(loud)} set the range of their layer")
    quiet = count - len(loud) - len(unpaired)
    if quiet:
        folds, are = ("folds", "is") if quiet == 1 else ("fold", "are")
        parts.append(f"{quiet} {folds} to weights no larger than the live ones and {are} harmless to the range")
    if unpaired:
        parts.append(f"of {len(unpaired)} the folded weight is not known")
    return f"{head}: {'; '.join(parts)}"


def channel_list(channels: tuple[int, ...]) -> str:
    """`3, 7, 11, 12 and 6 more`."""
    return listed(channels, _SHOWN)
