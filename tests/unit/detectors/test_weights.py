"""QD101 to QD107: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

import math
from dataclasses import replace

import pytest
import torch

from qdiag.core.measures.facts import BiasFacts, InputFacts
from qdiag.detectors import DetectionContext, detect
from qdiag.numerics.quantizers.power_of_two import PowerOfTwo
from tests.contexts import audit, codes, dead, even, healthy, losses, norm, planted, sums, weights


def per_channel(context: DetectionContext, name: str) -> DetectionContext:
    """The layer with one scale per channel."""
    weight = context.measurement.record(name).weight
    assert weight is not None
    return planted(context, name, {"weight": replace(weight, granularity="per_channel")})


def wide(*channels: int, width: float = 20.0) -> tuple[float, ...]:
    return tuple(width if c in channels else w for c, w in enumerate(even()))


def test_a_healthy_network_gives_nothing() -> None:
    assert detect(healthy()) == ()


def test_few_channels_that_set_the_range() -> None:
    context = planted(healthy(), "body", {"local": sums(18.0)}, {"weight": weights(wide(3, 7))})
    (found,) = detect(context)
    assert found.code == "QD101"
    (site,) = found.sites
    assert (site.layer, site.channels) == ("body", (3, 7))
    assert site.evidence[0].value == pytest.approx(20.0)
    assert site.evidence[0].threshold == 2.0
    assert site.evidence[1].value == pytest.approx(8 - 4.68, abs=0.5)
    assert found.repairs[0] == "clip_weights"


def test_few_channels_that_set_the_range_of_a_layer_that_loses_nothing() -> None:
    assert codes(planted(healthy(), "body", {"local": sums(30.0)}, {"weight": weights(wide(3, 7))})) == []


def test_starved_channels_behind_a_good_figure() -> None:
    """The wide channels hold all the power of the output."""
    starved = {"weight": weights(wide(3, 7)), "channel_sqnr_db_median": 6.0}
    (found,) = detect(planted(healthy(), "body", {"local": sums(36.0)}, starved))
    assert found.code == "QD101"
    assert [e.value for e in found.sites[0].evidence if e.name == "channel_sqnr"] == [6.0]


def test_few_channels_under_scales_of_their_own() -> None:
    context = planted(healthy(), "body", {"local": sums(18.0)}, {"weight": weights(wide(3, 7))})
    assert codes(per_channel(context, "body")) == []


def test_channels_that_died_are_not_live_outliers() -> None:
    record = norm("body", dead=(dead(3, 20.0, 20.0),), folded_max_abs=wide(3))
    context = planted(
        healthy(), "body", {"local": sums(18.0)}, {"weight": weights(wide(3))}, batchnorms=audit(body=record)
    )
    assert codes(context) == ["QD301"]


def test_many_wide_channels_are_no_outliers() -> None:
    spread = weights(wide(0, 2, 4, 6, 8, 10))
    assert codes(planted(healthy(), "body", {"local": sums(18.0)}, {"weight": spread})) == []


def test_a_layer_of_one_channel() -> None:
    assert codes(planted(healthy(), "body", {"local": sums(18.0)}, {"weight": weights((3.0,))})) == []


def test_worst_site_comes_first() -> None:
    context = planted(healthy(), "stem", {"local": sums(18.0)}, {"weight": weights(wide(1, width=9.0))})
    context = planted(context, "body", {"local": sums(18.0)}, {"weight": weights(wide(3, width=20.0))})
    (found,) = detect(context)
    assert found.layers == ("body", "stem")


PEAKED = {"kurtosis": 90.0, "channel_kurtosis_max": 50.0, "outlier_count": 3, "sqnr_per_tensor_db": 25.0}


def test_single_outlier_weights() -> None:
    context = planted(healthy(), "body", {"local": sums(22.0)}, {"weight": weights(even(), **PEAKED)})
    (found,) = detect(context)
    assert found.code == "QD102"
    assert found.layers == ("body",)
    figures = {e.name: (e.value, e.threshold) for e in found.sites[0].evidence}
    assert figures["kurtosis"] == (90.0, 20.0)
    assert figures["outlier_fraction"] == (pytest.approx(0.15), 1.0)
    assert figures["weight_sqnr_below_gaussian"][0] == pytest.approx(40.86 - 25.0)


@pytest.mark.parametrize(
    "changed",
    [{"channel_kurtosis_max": 6.0}, {"outlier_count": 200}, {"sqnr_per_tensor_db": 36.0}, {"kurtosis": 8.0}],
    ids=str,
)
def test_what_is_no_single_outlier(changed: dict[str, float]) -> None:
    facts = weights(even(), **(PEAKED | changed))
    assert codes(planted(healthy(), "body", {"local": sums(22.0)}, {"weight": facts})) == []


def vanishing(share: int) -> tuple[float, ...]:
    """Widths that fall off without a gap; one channel in `share` keeps three bits or more."""
    return tuple(1.0 if c % share == 0 else 0.01 for c in range(16))


def test_channels_left_with_hardly_a_level() -> None:
    facts = weights(vanishing(4), sqnr_per_tensor_db=8.0)
    (found,) = detect(planted(healthy(), "body", {"local": sums(12.0)}, {"weight": facts}))
    assert found.code == "QD103"
    assert found.sites[0].channels == tuple(c for c in range(16) if c % 4)
    assert found.sites[0].evidence[0].value == 75.0
    assert found.repairs[0] == "equalize"


def test_a_few_small_channels_and_channels_of_nothing_are_common() -> None:
    few = tuple(0.01 if c in (1, 2) else 0.5 + c / 32 for c in range(16))
    nothing = tuple(1e-27 if c % 2 else 0.5 + c / 32 for c in range(16))
    for widths in (few, nothing):
        facts = weights(widths, sqnr_per_tensor_db=8.0)
        assert codes(planted(healthy(), "body", {"local": sums(12.0)}, {"weight": facts})) == []


def test_a_bias_that_does_not_fit() -> None:
    bias = BiasFacts(32, 4e12, (2, 5), 0.004)
    by_weights = {"local": sums(12.0), "losses": losses(weight=sums(12.0))}
    (found,) = detect(planted(healthy(), "body", by_weights, {"bias": bias}))
    assert found.code == "QD104"
    assert codes(planted(healthy(), "body", {"local": sums(12.0), "losses": None}, {"bias": bias})) == ["QD104"]
    assert codes(planted(healthy(), "body", {"local": sums(12.0)}, {"bias": bias})) == [], "other noise"
    assert found.sites[0].channels == (2, 5)
    assert (found.sites[0].evidence[0].value, found.sites[0].evidence[0].threshold) == (4e12, 2.0**31)


def test_a_bias_beyond_its_integer_where_nothing_is_lost() -> None:
    assert codes(planted(healthy(), "body", {}, {"bias": BiasFacts(32, 4e12, (2, 5), 0.004)})) == []


def test_a_bias_coarser_than_the_output() -> None:
    scale = 6.0 / 255
    noise_db = -10 * math.log10((30 * scale) ** 2 / 12 * 1.5)
    bias = BiasFacts(32, 3.0, (), 30.0)
    (found,) = detect(planted(healthy(), "body", {"local": sums(noise_db)}, {"bias": bias}))
    assert found.code == "QD105"
    assert found.sites[0].evidence[0].value == 30.0
    assert found.sites[0].evidence[1].value == pytest.approx(100 / 1.5)


def test_a_coarse_bias_beside_far_coarser_weights() -> None:
    bias = BiasFacts(32, 3.0, (), 1.1)
    assert codes(planted(healthy(), "body", {"local": sums(9.0)}, {"bias": bias})) == []


def test_noise_that_is_mostly_a_constant_per_channel() -> None:
    (found,) = detect(planted(healthy(), "body", {"local": sums(20.0)}, {"mean_shift_fraction": 0.8}))
    assert found.code == "QD106"
    assert found.sites[0].evidence[0].value == pytest.approx(80.0)
    assert found.repairs == ("correct_bias",)


def test_a_constant_that_is_small() -> None:
    assert codes(planted(healthy(), "body", {"local": sums(34.0)}, {"mean_shift_fraction": 0.8})) == []
    assert codes(planted(healthy(), "body", {"local": sums(20.0)}, {"mean_shift_fraction": 0.3})) == []


def powers(bits: int = 4) -> dict[str, object]:
    """Fields of a weight in powers of two."""
    quantizer = PowerOfTwo(torch.tensor(4.0), bits, has_sign=True).record()
    return {"bits": bits, "quantizer": quantizer}


@pytest.mark.parametrize(("width", "expected"), [(8.0, []), (40.0, ["QD101"])])
def test_few_channels_that_set_the_range_of_powers_of_two(width: float, expected: list[str]) -> None:
    """Of seven magnitudes, channels at a tenth have four left, those at a fiftieth two."""
    context = planted(healthy(), "body", {"local": sums(12.0)}, {"weight": weights(wide(3, 7, width=width))})
    weight = context.measurement.record("body").weight
    assert weight is not None
    assert codes(planted(context, "body", {"weight": replace(weight, **powers())})) == expected


def test_outliers_among_powers_of_two_count_only_where_they_cost_signal() -> None:
    peaked = {"kurtosis": 40.0, "channel_kurtosis_max": 50.0, "outlier_count": 2}
    for sqnr_db, expected in ((13.0, []), (4.0, ["QD102"])):
        fields = {**peaked, "sqnr_per_tensor_db": sqnr_db, "sqnr_per_channel_db": sqnr_db}
        context = planted(healthy(), "body", {"local": sums(4.0)}, {"weight": weights(even(), **fields)})
        weight = context.measurement.record("body").weight
        assert weight is not None
        assert codes(planted(context, "body", {"weight": replace(weight, **powers())})) == expected


def reaching(*others: float, idle: tuple[int, ...] = (3, 7)) -> dict[str, object]:
    """Weights that reach to 9 at every output channel, and only so far over inputs that carry something."""
    return {"weight": weights((9.0,) * 16), "inputs": InputFacts(idle, (others * 16)[:16])}


def test_weights_on_inputs_that_carry_nothing() -> None:
    context = planted(healthy(), "body", {"local": sums(12.0)}, reaching(0.5, 1.5))
    for one_scale, over in ((context, 6.0), (per_channel(context, "body"), 12.0)):
        (found,) = detect(one_scale)
        assert found.code == "QD107"
        (site,) = found.sites
        assert (site.layer, site.channels, site.inputs) == ("body", (), (3, 7))
        assert [(e.name, e.value) for e in site.evidence] == [
            ("range_over_others", over), ("idle_inputs", 2.0), ("local_sqnr", pytest.approx(12.0)),
        ]  # fmt: skip
        assert found.repairs[0] == "clip_idle_weights"


@pytest.mark.parametrize(
    ("record", "fact"),
    [
        ({"local": sums(30.0)}, reaching(0.5)),
        ({"local": sums(12.0)}, reaching(3.0)),
        ({"local": sums(12.0)}, reaching(0.5, idle=())),
        ({"local": sums(12.0)}, reaching(0.5) | {"inputs": None}),
        ({"local": sums(12.0), "weight": None}, reaching(0.5)),
    ],
    ids=["it loses nothing", "one bit", "no such inputs", "inputs unknown", "weight in float"],
)
def test_inputs_that_set_no_range(record: dict[str, object], fact: dict[str, object]) -> None:
    assert codes(planted(healthy(), "body", record, fact)) == []


def test_idle_inputs_of_a_dead_norm_belong_to_it() -> None:
    """A BatchNorm before the layer that says so is named by QD301, and repaired by it."""
    context = planted(healthy(), "body", {"local": sums(12.0)}, reaching(0.5))
    before = norm("body", dead=(dead(3, 9.0, 18.0), dead(7, 9.0, 18.0)))
    assert before.layer is not None
    before = replace(before, layer=replace(before.layer, direction="bn->conv"))
    assert "QD107" not in codes(planted(context, "body", batchnorms=audit(body=before)))
    one = replace(before, dead=before.dead[:1])
    assert "QD107" in codes(planted(context, "body", batchnorms=audit(body=one)))


def test_idle_inputs_of_dead_outputs_belong_to_the_norm_behind_them() -> None:
    """As in depthwise convolutions, where the input of a dead output channel is often a constant."""
    wide = {"weight": weights(wide_row(3)), "inputs": InputFacts((3,), (0.5,) * 16)}
    context = planted(healthy(), "body", {"local": sums(12.0)}, wide)
    assert "QD107" in codes(context)
    behind = norm("body", dead=(dead(3, 9.0, 18.0),), folded_max_abs=wide_row(3))
    found = codes(planted(context, "body", batchnorms=audit(body=behind)))
    assert "QD301" in found and "QD107" not in found


def wide_row(channel: int) -> tuple[float, ...]:
    return tuple(9.0 if c == channel else 0.5 for c in range(16))
