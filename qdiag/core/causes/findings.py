"""What detectors saw: facts with numbers, no judgement on whether they matter."""

from dataclasses import dataclass

OF_FUSED = "fused_"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number behind a finding.

    Attributes:
        name: what was computed, in snake case, such as `range_over_others`; after `OF_FUSED` where it was measured at
            the convolution that a block of branches becomes, not at the layer of the site.
        unit: `x` for a ratio, `bits`, `dB`, `%`, `channels`, `values`, `steps`, ...; empty for a plain number.
        threshold: the limit that made it a finding; None for numbers that only accompany one.
        whole: what the value is a part of, in the same unit, such as all bits of a weight; None where it is no part.
    """

    name: str
    value: float
    unit: str = ""
    threshold: float | None = None
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class FindingSite:
    """One layer with the finding.

    Attributes:
        layer: name of the layer (`OpRecord.name`); for a BatchNorm, of the layer it folds into.
        channels: output channels concerned, of the layer's weight or output; empty for the layer as a whole.
        evidence: the first one is the figure to sort and to show by.
        inputs: input channels concerned, where what the weight takes in from before the layer is at fault.
    """

    layer: str
    channels: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault, at all places where it was seen.

    Attributes:
        code: see `qdiag.core.causes.codes`.
        sites: worst first.
        repairs: names of the repairs that would test it (`qdiag.core.causes.repair_traits`), the most fitting first;
            empty when nothing here can.
    """

    code: str
    sites: tuple[FindingSite, ...]
    repairs: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(site.layer for site in self.sites)

    @property
    def channel_count(self) -> int:
        return sum(len(site.channels or site.inputs) for site in self.sites)
