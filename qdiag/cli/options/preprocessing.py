"""How images are prepared, out of the options of a command line."""

from typing import TYPE_CHECKING, Any

from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.parse import parse_numbers
from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from qdiag.loaders.images.preprocessing import Preprocessing


def preprocessing_of(options: DataOptions) -> "Preprocessing | None":
    """The preset with single steps replaced; None when nothing was said."""
    changes: dict[str, Any] = {
        "resize": options.resize,
        "crop": options.crop,
        "mean": parse_numbers(options.mean),
        "std": parse_numbers(options.std),
        "scale": options.pixel_scale,
        "channel_order": options.channel_order,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.preset is None and not changes:
        return None
    from qdiag.loaders.images.preprocessing import preset

    try:
        return preset(options.preset or "none").override(**changes)
    except ConfigError as error:
        error.at = error.at or "the preprocessing options"
        raise
