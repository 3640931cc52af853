"""Sentences on activations: which share the quantizer of the operation before them, and what that is worth."""

import math
from collections.abc import Iterator
from statistics import median

from qdiag.core.listed import listed
from qdiag.core.measures.folding import ClampExample, ClampSite, FoldReport, RoundedValue
from qdiag.reading.layer_names import layer_named, layers_named
from qdiag.reading.words.numbers import count_noun, significant

_NAMES_AT_MOST = 4


def clamp_sentences(report: FoldReport) -> Iterator[str]:
    """How many share one, what steps they would have otherwise, and why others share none."""
    sites = report.clamps
    if not sites:
        yield "The network has no activation behind a convolution or another operation."
        return
    shared = [site for site in sites if site.is_shared]
    activations = count_noun(len(sites), "activation")
    if len(shared) < len(sites):
        several = "share their quantizers with the operations before them"
        what = several if len(shared) > 1 else "shares its quantizer with the operation before it"
        yield f"{len(shared) or 'None'} of {activations} {what}."
    else:
        yield f"{_all(len(sites))} its quantizer with the operation before it."
    yield from _step_sentences(shared)
    yield from _reasons([site for site in sites if not site.is_shared])


def bounds_words(site: ClampSite) -> str:
    """`0 to 6`, `from 0`, `up to 1`, or nothing."""
    if site.bounds is None:
        return ""
    low, high = site.bounds
    if math.isinf(high):
        return f"from {low:g}"
    return f"up to {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def example_sentences(example: ClampExample) -> tuple[str, str]:
    """One value under both quantizers, as they are in the sources."""
    before, after = example.before, example.after
    ratio = (after.quantizer.scale or math.nan) / (before.quantizer.scale or math.nan)
    return (
        f"Why one is enough, in uint8: a quantizer before the ReLU, for values in [-1, 1], makes of "
        f"{_rounded(example, before)}. The ReLU has still to be computed, and nothing that it lets through needs "
        f"{example.idle_codes} of the {before.quantizer.level_count} codes.",
        f"The quantizer after the ReLU, for [0, 1], makes of {_rounded(example, after)}. The rounding has "
        f"done what the ReLU does, and the steps are {significant(ratio)} times as wide.",
    )


def _rounded(example: ClampExample, found: RoundedValue) -> str:
    """`-0.5 the code 0 (scale 0.00392, zero point 0), which stands for 0`."""
    scale, zero_point = significant(found.quantizer.scale or math.nan), found.quantizer.zero_point
    code = f"the code {found.code} (scale {scale}, zero point {zero_point})"
    return f"{example.value:g} {code}, which stands for {significant(found.value)}"


def _all(count: int) -> str:
    return "The activation shares" if count == 1 else f"Each of the {count} activations shares"


def _step_sentences(shared: list[ClampSite]) -> Iterator[str]:
    known = [site for site in shared if not math.isnan(site.step_over_shared)]
    if known:
        worst = max(known, key=lambda site: site.step_over_shared)
        middle = median(site.step_over_shared for site in known)
        more = f", and {significant(middle)} times as wide in the median of all activations" if len(known) > 1 else ""
        yield (
            f"With a quantizer before the activation, the steps at {layer_named(worst.layer)} would be "
            f"{significant(worst.step_over_shared)} times as wide{more}."
        )
    computed = [site.layer for site in shared if site.is_free is False]
    if computed:
        names = layers_named(computed, _NAMES_AT_MOST)
        yield (
            f"At {names} the integers reach beyond the bounds, so that the clamp is computed as well."
            if len(computed) < len(shared)
            else "The integers of this scheme reach beyond the bounds, so that each clamp is computed as well."
        )


def _reasons(sites: list[ClampSite]) -> Iterator[str]:
    groups: dict[tuple[str, bool], list[ClampSite]] = {}
    for site in sites:
        groups.setdefault((site.reason or "", site.quantizer is None), []).append(site)
    for (reason, has_none), found in groups.items():
        names = listed([f"{site.layer} ({site.activation})" for site in found], _NAMES_AT_MOST)
        if len(found) == 1:
            what = "has no quantizer to share" if has_none else f"shares none with the {found[0].operation} before it"
            yield f"{names} {what}, because {reason}."
        else:
            what = "have no quantizer to share" if has_none else "share none with what comes before them"
            yield f"{names} {what}. The reason for each of them is that {reason}."
