"""Whether the weights of a file come from those of a float network, however they were changed on the way."""

from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from qdiag.errors import ConfigError
from qdiag.pipeline.deployed.match import LayerMatch, stored_value, with_axes_of
from qdiag.simulate.passes.network import Network

ALIKE_SHARE = 0.8
"""Of the products of two weights, by magnitude, the part that is positive. Measured on the weights of six networks:
where they were rounded to 8 to 2 bits, rescaled along both axes by factors of e^(1.5 n) with a Gaussian n, as by
equalization, or changed by noise as large as they are, every layer has 0.88 or more, and the median 0.94. Those of
other networks, or of the same one in another order, have 0.5 in the median; a small layer may have 0.9."""
FOUND_SHARE = 0.5
"""Of the layers with weights of a file, the part that has to come from the float network; the others may be new."""


@dataclass(frozen=True)
class WeightLikeness:
    """Layers with weights of a file against those of the float network.

    Attributes:
        total: how many the file has. alike: names in the float network of those whose weights come from it.
        other: the same of those that were found, and whose weights do not.
        sqnr_db: of the weights of all that were found, in the median; NaN without any.
        positive: the same of the shares.
    """

    total: int
    alike: tuple[str, ...]
    other: tuple[str, ...]
    sqnr_db: float
    positive: float

    @property
    def fits(self) -> bool:
        """The file was made from the float network."""
        return len(self.alike) >= FOUND_SHARE * self.total


def weight_likeness(network: Network, file_network: Network, match: LayerMatch) -> WeightLikeness:
    """Compares the weights of every layer that was found."""
    layers = {layer.name: layer for layer in network.graph.sites}
    others = {layer.name: layer for layer in file_network.graph.sites}
    shares, sqnrs = dict[str, float](), list[float]()
    for name, other in match.pairs.items():
        if layers[name].weight is None or others[other].weight is None:
            continue
        one, two = stored_value(network, layers[name]), stored_value(file_network, others[other])
        two = two if one is None or two is None else with_axes_of(two, one)
        if one is not None and two is not None and one.shape == two.shape:
            shares[name] = positive_share(one, two)
            sqnrs.append(_sqnr_db(one, two))
    alike = tuple(name for name, share in shares.items() if not share < ALIKE_SHARE)
    total = sum(layer.weight is not None for layer in others.values())
    numbers = (median(values) if values else float("nan") for values in (sqnrs, list(shares.values())))
    return WeightLikeness(total, alike, tuple(name for name in shares if name not in alike), *numbers)


def check_likeness(found: WeightLikeness, match: LayerMatch, source: str) -> None:
    """Refuses a file of another network.

    Raises:
        ConfigError: with how many layers were found and how, and how far the weights lie from the float ones.
    """
    if found.fits:
        return
    count = len(found.alike) + len(found.other)
    if not count:
        told = f"none of its {found.total} layers with weights was found in it"
    else:
        named = sum(match.ways[name] == "name" for name in (*found.alike, *found.other))
        told = (
            f"of its {found.total} layers with weights {count} were found, {named} of them by name, and "
            f"{len(found.alike)} have weights that come from it: in the median their SQNR against the float ones is "
            f"{found.sqnr_db:.1f} dB, and {100.0 * found.positive:.0f} % of them have the same sign, by magnitude"
        )
    raise ConfigError(
        f"{source} was not made from this network: {told}",
        at="`quantized`",
        hint="give the float network that the file was made from",
    )


def positive_share(one: Tensor, other: Tensor) -> float:
    """Of the products of two tensors, by magnitude, the part that is positive; NaN where all are zero."""
    products = one.double() * other.double()
    total = float(products.abs().sum())
    return float(products.clamp(min=0.0).sum()) / total if total > 0.0 else float("nan")


def _sqnr_db(one: Tensor, other: Tensor) -> float:
    noise = float((one.double() - other.double()).square().sum())
    signal = float(one.double().square().sum())
    return float("inf") if not noise else 10.0 * float(torch.log10(torch.tensor(max(signal, 1e-300) / noise)))
