"""Which fields of a scheme lose their meaning when others change."""

from collections.abc import Mapping
from typing import Any

_FLOATS = {"float", "block_float"}
_AS_IN_OTHERS: Mapping[str, Any] = {
    "element": None,
    "scale": None,
    "saturate": True,
    "center": False,
    "stochastic_seed": None,
    "step": None,
}
OWN_FIELDS = tuple(_AS_IN_OTHERS)
"""Fields that only some formats have."""


def stale_fields(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `base` that what is new takes away, each with the value that it has where nobody set it.

    A `granularity` other than `per_group` takes the `group_size`, other `bits` take the `element`, a `type` takes what
    only the former one has; between floats alone and floats in blocks that is the `scale`. The `channel_ranges` go with
    `per_channel` and with another `type`. Ranges go as in `stale_ranges`.

    Args:
        base, new: fields of a tensor's scheme by name, as far as they are set.
    """
    stale: dict[str, Any] = dict.fromkeys(stale_ranges(new, base.get("type", "affine")))
    if new.get("granularity", "per_group") != "per_group":
        stale["group_size"] = None
    if new.get("granularity", "per_channel") != "per_channel":
        stale["channel_ranges"] = None
    if new.get("bits", base.get("bits", 8)) != base.get("bits", 8):
        stale["element"] = None
    old = base.get("type", "affine")
    kind = new.get("type", old)
    if kind != old:
        stale["channel_ranges"] = None
        stale |= {"scale": None} if {kind, old} <= _FLOATS else _AS_IN_OTHERS
    return {name: value for name, value in stale.items() if name not in new}


def stale_ranges(new: Mapping[str, Any], kind: str) -> frozenset[str]:
    """Ranges that go where a `calibrator`, or the other one of both, comes in their place.

    Args:
        kind: the type of numbers; `linear` has no range but a given one.
    """
    if "calibrator" in new and kind != "linear":
        return frozenset({"range", "channel_ranges"})
    return frozenset(
        old
        for old, now in (("range", "channel_ranges"), ("channel_ranges", "range"))
        if now in new and new[now] is not None
    )
