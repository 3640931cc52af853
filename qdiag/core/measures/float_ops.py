"""Operations that stay in float, and how much of the network they are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FloatOp:
    """An operation that stays in float: where, what, why, and its share of all weights and multiplications, 0 to 1."""

    name: str
    op: str
    reason: str
    weight_fraction: float = 0.0
    mac_fraction: float = 0.0


FLOAT_SHARE_LIMIT = 0.1
"""Share of the weights or multiplications in float beyond which a result is of another network than the one to run."""


@dataclass(frozen=True, slots=True)
class FloatShare:
    """Share of the network's weights and multiplications that all operations left in float have together, 0 to 1."""

    weight_fraction: float = 0.0
    mac_fraction: float = 0.0

    @property
    def is_beyond_limit(self) -> bool:
        """More than `FLOAT_SHARE_LIMIT` of either."""
        return max(self.weight_fraction, self.mac_fraction) > FLOAT_SHARE_LIMIT
