"""Findings that point at the same places become one suspect, named by the most specific of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qdiag.core.causes.codes import code_of
from qdiag.core.causes.findings import Finding, FindingSite

_PLACE_OF_FAMILY = {
    "weights": "weight",
    "normalization": "weight",
    "activations": "output",
    "graph": "output",
    "calibration": "output",
    "backend": "sum",
    "deployment": "output",
    "numerics": "value",
}
_PLACE_OF_CODE = {"QD408": "weight", "QD701": "weight", "QD702": "weight", "QD706": "weight"}
"""Where a code's place is not that of its family."""
_ANYWHERE = ("QD405", "QD406")
"""The first or the last layer as such: whatever is found there says more."""
BY_SWEEP = "QD407"
"""What a layer costs alone says nothing about why: a suspect only where nothing there explains it."""
_EXPLAINS = 2
"""Specificity from which on a finding with repairs explains what its layer costs."""
_VICTIMS = ("QD103",)
"""Channels that suffer from what others of the same layer do: whatever sets the range there is the cause of these."""


@dataclass
class Suspect:
    """A possible cause, while findings are gathered around it."""

    code: str
    place: str
    sites: list[FindingSite]
    repairs: list[str]
    absorbed: dict[str, list[FindingSite]] = field(default_factory=dict)

    def findings(self) -> tuple[Finding, ...]:
        """The naming finding first, each with the sites that belong to this suspect."""
        others = (Finding(code, tuple(sites)) for code, sites in self.absorbed.items())
        return Finding(self.code, tuple(self.sites), tuple(self.repairs)), *others


def suspects_of(findings: Sequence[Finding]) -> list[Suspect]:
    """The suspects, in the order of their specificity and code.

    A site belongs to an earlier, more specific suspect when that one is at the same layer and place (weight, output,
    sum of products) and shares channels with it, or when either concerns the layer as a whole. Channels that remain
    stay with their own finding.
    """
    found: list[Suspect] = []
    ordered = sorted(findings, key=lambda f: (-code_of(f.code).specificity, f.code))
    for finding in ordered:
        place = "any" if finding.code in _ANYWHERE else _place(finding.code)
        own: list[FindingSite] = []
        for site in finding.sites:
            rest = _absorb(site, finding, place, found)
            if rest is not None:
                own.append(rest)
        if own:
            found.append(Suspect(finding.code, place, own, list(finding.repairs)))
    return found


def _place(code: str) -> str:
    return _PLACE_OF_CODE.get(code, _PLACE_OF_FAMILY[code_of(code).family])


def _absorb(site: FindingSite, finding: Finding, place: str, found: Sequence[Suspect]) -> FindingSite | None:
    """What is left of a site after more specific suspects have taken their share; None when nothing is."""
    if finding.code == BY_SWEEP:
        return None if any(_explains(suspect, site, finding) for suspect in found) else site
    for suspect in found:
        if place != "any" and suspect.place != place:
            continue
        taken = {c for other in suspect.sites if other.layer == site.layer for c in other.channels}
        is_there = any(other.layer == site.layer for other in suspect.sites)
        others_whole = any(other.layer == site.layer and not other.channels for other in suspect.sites)
        is_whole = not site.channels or others_whole or finding.code in _VICTIMS
        shared = [c for c in site.channels if c in taken]
        if not is_there or not (is_whole or shared):
            continue
        suspect.absorbed.setdefault(finding.code, []).append(site)
        suspect.repairs.extend(r for r in finding.repairs if r not in suspect.repairs)
        rest = tuple(c for c in site.channels if c not in taken)
        if is_whole or not rest:
            return None
        site = replace(site, channels=rest)
    return site


def _explains(suspect: Suspect, site: FindingSite, by_sweep: Finding) -> bool:
    """The suspect is at that layer, and is either a fault of its own or tries the same repairs."""
    if not any(other.layer == site.layer for other in suspect.sites):
        return False
    is_fault = code_of(suspect.code).specificity >= _EXPLAINS and bool(suspect.repairs)
    return is_fault or bool(set(by_sweep.repairs) & set(suspect.repairs))
