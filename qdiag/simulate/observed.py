"""What was seen of networks, layer by layer, so that none is looked at twice: other weights move what is behind them.

A layer counts by how closely it was looked at, not by the scheme that asked: what one calibrator reads from a histogram
serves the others.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import fx

from qdiag.batches import Batches
from qdiag.core.by_identity import ByIdentity
from qdiag.core.scheme import QuantScheme
from qdiag.simulate.calibrate import Channels, Look, Observation, look_at
from qdiag.simulate.passes.network import Network

Watch = Callable[[Collection[str]], Mapping[str, Observation]]
"""Observes the layers of these names in one pass; layers whose output is never a float tensor are absent."""


@dataclass
class _Seen:
    """Of one network on one data set: by layer and look; None where the output is never a float tensor.

    Attributes:
        with_shape: what no calibrator reads was seen too.
    """

    batches: Batches
    channels: Channels
    with_shape: bool
    layers: dict[tuple[str, Look], Observation | None] = field(default_factory=dict)
    answers: list[tuple[QuantScheme, Mapping[str, Observation]]] = field(default_factory=list)


class Observed:
    """What was seen of each network, for as long as the network lives."""

    def __init__(self) -> None:
        self._seen: ByIdentity[list[_Seen]] = ByIdentity()

    def of(
        self,
        network: Network,
        batches: Batches,
        scheme: QuantScheme,
        watch: Watch,
        *,
        channels: Channels,
        with_shape: bool = True,
    ) -> Mapping[str, Observation]:
        """Every layer as closely as the scheme's calibrators need; what was not seen yet is watched in one pass.

        Args:
            channels: how closely they have to be looked at.
            with_shape: what no calibrator reads is wanted too.
        """
        whole = self._of_data(network, batches, channels, True)
        own = whole if with_shape else self._of_data(network, batches, channels, False)
        known = [whole] if own is whole else [own, whole]
        for asked, answer in (answer for one in known for answer in one.answers):
            if asked == scheme:
                return answer
        looks = {site.name: look_at(scheme.activations_of(site.name)) for site in network.graph.sites}
        seen = {name: row for one in known for (name, look), row in one.layers.items() if looks.get(name) == look}
        missing = [name for name in looks if name not in seen]
        new = watch(missing) if missing else {}
        own.layers.update({(name, looks[name]): new.get(name) for name in missing})
        rows = {name: seen[name] if name in seen else new.get(name) for name in looks}
        found = {name: row for name, row in rows.items() if row is not None}
        own.answers.append((scheme, found))
        return found

    def take_over(self, network: Network, like: Network) -> None:
        """What was seen of another network holds for the layers of this one that come out the same."""
        known = self._seen.get(like)
        if known is None or network is like:
            return
        moved = moved_sites(network, like)
        for one in known:
            own = self._of_data(network, one.batches, one.channels, one.with_shape).layers
            for (name, look), row in one.layers.items():
                if name not in moved:
                    own.setdefault((name, look), row)

    def _of_data(self, network: Network, batches: Batches, channels: Channels, with_shape: bool) -> _Seen:
        known = self._seen.once(network, list)
        for one in known:
            if one.batches is batches and (one.channels, one.with_shape) == (channels, with_shape):
                return one
        known.append(_Seen(batches, channels, with_shape))
        return known[-1]


def moved_sites(network: Network, like: Network) -> frozenset[str]:
    """Names of the sites whose output may differ from that of another network: behind other constants or clamps.

    All of them where the two are not one graph.
    """
    nodes, others = list(network.program.graph.nodes), list(like.program.graph.nodes)
    sites = network.graph.sites
    clamps = {site.name: site.clamp for site in like.graph.sites}
    names = frozenset(site.name for site in sites)
    if [_written(node) for node in nodes] != [_written(node) for node in others] or names != clamps.keys():
        return names
    new, old = network.program.constants, like.program.constants
    clamped = {site.output for site in sites if clamps[site.name] != site.clamp}
    moved = set[str]()
    for node in nodes:
        is_other = node.op == "placeholder" and new.get(str(node.target)) is not old.get(str(node.target))
        if is_other or node.name in clamped or any(source.name in moved for source in node.all_input_nodes):
            moved.add(node.name)
    return frozenset(site.name for site in sites if site.output in moved)


def _written(node: fx.Node) -> tuple[object, ...]:
    return node.name, node.op, node.target, str(node.args), str(node.kwargs)
