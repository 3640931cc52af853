"""A range for each output channel of a weight: which fields of a scheme go together with it."""

import math
from typing import TYPE_CHECKING

from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from qdiag.core.tensor_scheme import TensorScheme


def check_channel_ranges(scheme: "TensorScheme") -> None:
    """Refuses them where there is no such channel, and ranges without two ends.

    Raises:
        ConfigError: fields that contradict each other.
    """
    if scheme.channel_ranges is None:
        return
    if scheme.type != "affine" or scheme.granularity != "per_channel" or scheme.range is not None:
        raise ConfigError(
            "channel_ranges needs type = affine and granularity = per_channel, and no range beside it",
            hint="set one range for the whole tensor, or leave channel_ranges out",
        )
    for index, (low, high) in enumerate(scheme.channel_ranges):
        if not -math.inf < low < high < math.inf:
            raise ConfigError(
                f"channel_ranges has {[low, high]} at channel {index}",
                hint="give two finite numbers, the lower one first, such as [-4.0, 4.0]",
            )
