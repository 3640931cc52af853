"""What was found at each layer, with the verdict on the suspect that it belongs to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.evidence import evidence_words


@dataclass(frozen=True, slots=True)
class LayerFinding:
    """One finding at one layer.

    Attributes:
        verdict: of the suspect it belongs to; empty for findings that no repair tests.
        details: channels and evidence, one phrase each.
    """

    code: str
    title: str
    verdict: str
    verdict_words: str
    channels: tuple[int, ...]
    details: tuple[str, ...]


def findings_by_layer(diagnosis: Diagnosis) -> Mapping[str, tuple[LayerFinding, ...]]:
    """Those of the suspects first, in order of rank; each once."""
    ranking = diagnosis.ranking
    verdicts: dict[tuple[str, str], str] = {}
    for cause in reversed(ranking.causes):
        for finding in cause.findings:
            verdicts.update({(finding.code, layer): cause.verdict for layer in finding.layers})
    found: dict[str, dict[LayerFinding, None]] = defaultdict(dict)
    for finding in (*(f for cause in ranking.causes for f in cause.findings), *ranking.findings):
        for site in finding.sites:
            inputs = f"inputs {channel_words(site.inputs)}" if site.inputs else ""
            details = (channel_words(site.channels), inputs, *map(evidence_words, site.evidence))
            verdict = verdicts.get((finding.code, site.layer), "")
            one = LayerFinding(
                finding.code,
                cause_title(finding.code),
                verdict,
                VERDICT_WORDS.get(verdict, "seen"),
                site.channels,
                tuple(filter(None, details)),
            )
            found[site.layer][one] = None
    return {layer: tuple(own) for layer, own in found.items()}


def channel_words(channels: tuple[int, ...], shown: int = 8) -> str:
    """`channel 3`, `channels 3, 7 and 11`-like, cut after a few."""
    if not channels:
        return ""
    return f"{'channel' if len(channels) == 1 else 'channels'} {listed(channels, shown)}"
