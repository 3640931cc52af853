"""How large a network is in float and quantized, in words."""

import math
from collections.abc import Iterator, Sequence

from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.reading.words.numbers import UNKNOWN


def size_words(size: NetworkSize | None, scheme: str | None = None) -> tuple[str, ...]:
    """A line for each network, and by how much the file becomes smaller; empty where nothing is known.

    Args:
        scheme: under which the quantized network is, where the rest of the header does not say it.
    """
    if size is None or not size.reference.stored:
        return ()
    scales = f" and {byte_words(size.simulated.scales)} of scales" if size.simulated.scales else ""
    made = f"as {scheme}" if scheme else "quantized"
    return (
        f"float {byte_words(size.reference.weights)} of weights, {_held(size.reference)}",
        f"{made} {byte_words(size.simulated.weights)} of weights{scales}, {_held(size.simulated)}",
        compression_words(size),
    )


def compression_words(size: NetworkSize) -> str:
    """`weights and scales are 3.9 times smaller than in float (74.6 % saved)`."""
    ratio, saved = size.compression, 100.0 * size.saved_fraction
    if math.isnan(ratio):
        return UNKNOWN
    if ratio == 1.0:
        return "weights and scales take as much as in float"
    if ratio < 1.0:
        return f"weights and scales take {1.0 / ratio:.2f} times as much as in float"
    return f"weights and scales are {ratio:.2f} times smaller than in float ({saved:.1f} % saved)"


def byte_words(count: int) -> str:
    """`428 kB`: three significant digits, in powers of 1000."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            value = count / limit
            return f"{value:.{2 - min(int(math.log10(value)), 2)}f} {unit}"
    return f"{count} bytes" if count != 1 else "1 byte"


def size_rows(before: NetworkSize | None, after: NetworkSize | None) -> Iterator[tuple[str, str, str, str]]:
    """What, before, after, change: bytes of both quantized networks, and how much smaller each became.

    Those of the float networks too, where these are of different size.
    """
    if before is None and after is None:
        return
    sizes = before, after
    yield from _byte_rows("", [None if size is None else size.simulated for size in sizes])
    if before is None or after is None or before.reference != after.reference:
        yield from _byte_rows("float ", [None if size is None else size.reference for size in sizes])
    ratios = [UNKNOWN if size is None else f"{size.compression:.2f} x" for size in (before, after)]
    yield "compression", ratios[0], ratios[1], "none" if ratios[0] == ratios[1] else ""


def _byte_rows(kind: str, networks: Sequence[NetworkBytes | None]) -> Iterator[tuple[str, str, str, str]]:
    for what in ("weights", "scales", "activations"):
        before, after = (None if network is None else int(getattr(network, what)) for network in networks)
        if before or after or (what != "scales" and not kind):
            yield f"{kind}{what}", *_cells(before, after)


def _cells(before: int | None, after: int | None) -> tuple[str, str, str]:
    words = [UNKNOWN if count is None else byte_words(count) for count in (before, after)]
    change = "" if before is None or after is None or not before else f"{100.0 * (after / before - 1.0):+.1f} %"
    return words[0], words[1], "none" if before == after else change


def _held(network: NetworkBytes) -> str:
    return f"{byte_words(network.activations)} of activations"
