"""The other ways in which the pixels of the same images may have been prepared in training."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from qdiag.errors import ConfigError
from qdiag.loaders.images.preprocessing import PRESETS, ChannelOrder, Preprocessing

Settings = tuple[tuple[str, str], ...]
"""Options by their names without dashes, and their values."""


def alternatives(now: Preprocessing | None) -> Mapping[Settings, Preprocessing]:
    """What the options can express beside `now`, each scale, mean, std and channel order once; size and crop stay.

    The presets, pixels from 0 to 255 as they are, and `now` with its channels in the other order.

    Args:
        now: None where values are taken as stored.
    """
    size = now or Preprocessing()
    found: dict[Settings, Preprocessing] = {}
    for settings, how in _candidates(now):
        try:
            sized = replace(
                how, resize=size.resize, crop=size.crop, interpolation=size.interpolation, channels=size.channels
            )
        except ConfigError:  # three means for grey images
            continue
        if sized != now and sized not in found.values():
            found[_with_size(settings, sized)] = sized
    return found


def _candidates(now: Preprocessing | None) -> Iterator[tuple[Settings, Preprocessing]]:
    for name, how in PRESETS.items():
        if how.resize is None:
            yield (("preset", name),), how
    yield (("pixel_scale", "1"),), Preprocessing(scale=1.0)
    if now is not None and now.channels != 1:
        order: ChannelOrder = "rgb" if now.channel_order == "bgr" else "bgr"
        yield (("channel_order", order),), replace(now, channel_order=order)


def _with_size(settings: Settings, how: Preprocessing) -> Settings:
    """The name of a preset that sets size and crop so, or the preset and both."""
    if settings[0][0] != "preset":
        return (*settings, *_size(how)) if settings[0][0] == "pixel_scale" else settings
    for name, other in PRESETS.items():
        if other == replace(how, channels=other.channels):
            return (("preset", name),)
    return (*settings, *_size(how))


def _size(how: Preprocessing) -> Settings:
    sizes = (("resize", how.resize), ("crop", how.crop))
    return tuple((name, str(pixels)) for name, pixels in sizes if pixels is not None)
