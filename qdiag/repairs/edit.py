"""Changes of single channels, and tensors with such changes made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ChannelEdit:
    """New values of one channel.

    Attributes:
        layer: module path of the layer that owns the channel.
        values: tensor name to the value at `channel` along its only axis.
    """

    layer: str
    channel: int
    values: Mapping[str, float]


def changed_tensors(tensors: Mapping[str, Tensor], edits: Iterable[ChannelEdit]) -> dict[str, Tensor]:
    """Copies of the tensors that the edits touch, with the edits made."""
    changed: dict[str, Tensor] = {}
    for edit in edits:
        for name, value in edit.values.items():
            if name not in changed:
                changed[name] = tensors[name].detach().clone()
            changed[name][edit.channel] = value
    return changed
