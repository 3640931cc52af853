"""What every repair of the plan keeps: the caller's case, the layers not named, and the way to say it again."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.scheme import LayerOverride, TensorChange
from qdiag.errors import RepairRefused
from qdiag.numerics.quantizers.affine import Affine
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from tests.cases import SESSION, assert_untouched, changed_layers, open_test_case, snapshot

IMAGES = torch.randn(12, 3, 10, 10, generator=torch.Generator().manual_seed(1))
OTHERS = 2.0 * torch.randn(6, 3, 10, 10, generator=torch.Generator().manual_seed(2))


def net() -> nn.Sequential:
    """stem conv + BN + ReLU (0), pooling, depthwise (4), pointwise (5) + ReLU, linear (8)."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5)),
    ).eval()


@dataclass(frozen=True)
class Use:
    """One repair on `net`.

    Attributes:
        start: settings on top of the preset, under which there is something to repair.
        changed: layers whose plan differs when the repair is applied to layer 4, followers of its quantizers included.
    """

    repair: str
    preset: str = "int8"
    start: tuple[str, ...] = ()
    changed: tuple[str, ...] = ("4",)


USES = (
    Use("clip_weights", "tf-uint8", ("weights.bits=4",)),
    Use("clip_activations_mse", start=("activations.bits=4",)),
    Use("clip_activations_percentile", start=("activations.percentile=90",)),
    Use("clip_activations_entropy", start=("activations.calibrator=percentile", "activations.percentile=90")),
    Use("cover_range", start=("activations.calibrator=percentile", "activations.percentile=90")),
    Use("cover_weights", "tf-uint8", ("weights.bits=4", "weights.calibrator=mse")),
    Use("per_channel_weights", "tf-uint8"),
    Use("asymmetric_activations", "int16x8", ("activations.narrow_range=true",)),
    Use("activations_16bit", changed=("0", "avg_pool2d", "4")),
    Use("reduce_weight_bits"),
    Use("reduce_activation_bits", changed=("0", "avg_pool2d")),
    Use("keep_float"),
)
BY_NAME = {use.repair: use for use in USES}


def opened(use: Use, *, settings: Sequence[str] = ()) -> Case:
    return open_test_case(net(), IMAGES, load_scheme(use.preset, [*use.start, *settings]), measured=OTHERS)


def treat(name: str, case: Case, *layers: str) -> Treatment:
    return REPAIRS[name].apply(case, [FindingSite(layer) for layer in layers], RepairContext())


def plan_of(case: Case) -> dict[str, Tensor]:
    return {key: value for key, value in snapshot(case).items() if key.startswith("plan:")}


def assert_equal_plans(one: Case, other: Case) -> None:
    first, second = plan_of(one), plan_of(other)
    assert first.keys() == second.keys()
    assert not [key for key, value in first.items() if not torch.equal(value, second[key])]
    for name, plan in one.plan.layers.items():
        assert plan.float_reason == other.plan.layers[name].float_reason
        assert one.plan.scheme.bias_of(name) == other.plan.scheme.bias_of(name)


def test_every_repair_has_its_name() -> None:
    assert list(TRAITS) == list(REPAIRS)
    assert all(REPAIRS[name].traits.name == name for name in REPAIRS)


@pytest.mark.parametrize("name", BY_NAME)
def test_only_the_named_layer_changes_and_the_callers_case_stays(name: str) -> None:
    use = BY_NAME[name]
    case = opened(use)
    before = snapshot(case)
    treatment = treat(name, case, "4")
    assert_untouched(case, before)
    assert not treatment.moves_float
    assert not treatment.tensors
    pooling = next(layer.name for layer in case.network.graph.layers if layer.kind == "pool")
    assert changed_layers(case, treatment.case) == {pooling if n == "avg_pool2d" else n for n in use.changed}
    weights = {key for key in before if not key.startswith("plan:")}
    after = snapshot(treatment.case)
    assert all(torch.equal(before[key], after[key]) for key in weights)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("layers", [("4",), ("4", "8"), ()], ids=["one", "two", "all"])
def test_the_settings_make_the_same_plan(name: str, layers: tuple[str, ...]) -> None:
    use = BY_NAME[name]
    if name == "keep_float" and not layers:
        pytest.skip("the whole network in float is no repair")
    treatment = treat(name, opened(use), *layers)
    assert treatment.settings
    if not layers:
        assert len(treatment.settings) <= (4 if name == "reduce_activation_bits" else 3), "no layer reads the last one"
    again = opened(use, settings=treatment.settings)
    assert_equal_plans(treatment.case, again)


def test_settings_of_the_whole_scheme() -> None:
    wide = opened(Use("wide_accumulator", start=("accumulator_bits=16", "pair_saturation=true")))
    treatment = treat("wide_accumulator", wide)
    assert treatment.settings == ("accumulator_bits=32", "pair_saturation=false")
    assert set(treatment.layers) == {"0", "4", "5", "8"}
    assert not treatment.case.scheme.pair_saturation
    unfolded = opened(Use("fold_batchnorm", start=("fold_batchnorm=false",)))
    before = snapshot(unfolded)
    folded = treat("fold_batchnorm", unfolded)
    assert_untouched(unfolded, before)
    assert (folded.settings, folded.layers) == (("fold_batchnorm=true",), ("0",))
    assert_equal_plans(folded.case, opened(Use("fold_batchnorm")))


def test_a_bias_in_float_at_one_layer_and_at_all() -> None:
    case = opened(Use("float_bias"))
    one, every = treat("float_bias", case, "4"), treat("float_bias", case)
    assert one.settings == ('layers."4".bias=float',)
    assert every.settings == ("bias=float",)
    for treatment in (one, every):
        assert_equal_plans(treatment.case, opened(Use("float_bias"), settings=treatment.settings))
    assert [one.case.scheme.bias_of(name) for name in ("0", "4")] == ["int32", "float"]
    assert (one.costs[0].name, one.costs[0].value, every.costs[0].value) == ("float_biases", 6.0, 25.0)


def test_sixteen_bits_in_and_out_with_a_bias_that_holds_them() -> None:
    case = opened(Use("activations_16bit"))
    treatment = treat("activations_16bit", case, "4")
    scheme = treatment.case.scheme
    assert [scheme.activations_of(name).bits for name in ("input:input", "0", "4", "5")] == [8, 16, 16, 8]
    assert [scheme.bias_of(name) for name in ("0", "4", "5", "8")] == ["int32", "int64", "int64", "int32"]
    (cost,) = treatment.costs
    # the stem's 6 x 8 x 8, its pooled 6 x 4 x 4 and the depthwise 6 x 2 x 2, one byte more for each value
    assert (cost.name, cost.value, cost.unit) == ("wide_activation_bytes", 384.0 + 96.0 + 24.0, "bytes per sample")


def test_a_site_that_shares_a_quantizer_means_its_owner() -> None:
    case = opened(Use("clip_activations_mse", start=("activations.bits=4",)))
    pooling = next(layer.name for layer in case.network.graph.layers if layer.kind == "pool")
    assert treat("clip_activations_mse", case, pooling).layers == ("0",)


def test_scales_cost_one_value_per_channel_beyond_the_first() -> None:
    treatment = treat("per_channel_weights", opened(Use("", "tf-uint8")), "4", "8")
    assert [(cost.name, cost.value, cost.unit) for cost in treatment.costs] == [("extra_scales", 5.0 + 4.0, "values")]
    before, after = (case.plan.layers["4"].weight for case in (opened(Use("", "tf-uint8")), treatment.case))
    assert before is not None and after is not None
    assert (before.granularity, after.granularity) == ("per_tensor", "per_channel")
    assert (after.quant_min, after.quant_max) == (before.quant_min, before.quant_max) == (0, 255)
    assert bool((after.zero_point > 0).all()), "the weights stay affine, each channel with a zero point of its own"


def test_scales_per_channel_are_the_same_change_at_all_layers_and_for_the_scheme() -> None:
    """One thing changes, wherever it is made: the plans of all layers named are those of the scheme."""
    case = opened(Use("", "tf-uint8"))
    whole = REPAIRS["per_channel_weights"].everywhere
    assert whole is not None
    change = whole(case)
    assert change is not None
    single = treat("per_channel_weights", case, *change.layers).case
    assert single.scheme == change.scheme


def test_float_layers_are_added_to_those_of_the_user() -> None:
    case = opened(Use("keep_float", start=('float_layers=["8"]',)))
    treatment = treat("keep_float", case, "4")
    assert treatment.layers == ("4",)
    assert treatment.settings == ('float_layers=["8", "4"]',)


def test_what_has_only_a_quantizer_to_lose_keeps_its_readers_in_float() -> None:
    case = opened(Use("keep_float"))
    treatment = treat("keep_float", case, "input:input")
    assert treatment.layers == ("0",)
    assert treatment.case.plan.layers["input:input"].output is None
    pooling = next(layer.name for layer in case.network.graph.layers if layer.kind == "pool")
    assert treat("keep_float", case, pooling).layers == (pooling, "4")
    assert treat("keep_float", case, pooling).case.plan.layers[pooling].output is None


def test_what_has_weights_does_not() -> None:
    treatment = treat("keep_float", opened(Use("keep_float")), "4")
    assert treatment.layers == ("4",)
    assert treatment.case.plan.layers["4"].output is not None


def test_a_name_with_glob_characters_means_itself() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("a[1]", nn.Linear(4, 4))
            self.add_module("a1", nn.Linear(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            first: Tensor = self._modules["a1"](self._modules["a[1]"](x))  # type: ignore[misc]
            return first

    torch.manual_seed(0)
    model, x = Odd().eval(), torch.randn(8, 4)
    case = open_test_case(model, x)
    name = next(layer.name for layer in case.network.graph.layers if "[" in layer.name)
    treatment = treat("reduce_weight_bits", case, name)
    assert changed_layers(case, treatment.case) == {name}
    assert_equal_plans(treatment.case, open_test_case(model, x, load_scheme("int8", treatment.settings)))


def test_repairs_go_on_top_of_the_users_own_overrides() -> None:
    case = opened(Use("", start=('layers."*".weights.bits=6', "layers.4.weights.calibrator=percentile")))
    treatment = treat("reduce_weight_bits", case)
    assert {treatment.case.scheme.weights_of(name).bits for name in ("0", "4", "5", "8")} == {5}
    assert treatment.case.scheme.weights_of("4").calibrator == "percentile"
    start = case.scheme.layers
    assert start == (
        LayerOverride("*", weights=TensorChange(bits=6)),
        LayerOverride("4", weights=TensorChange(calibrator="percentile")),
    )


def test_a_scale_per_channel_takes_the_place_of_a_range_for_the_whole_weight() -> None:
    case = opened(Use("", "tf-uint8", ("layers.4.weights.range=[-1.0, 1.0]",)))
    treated = treat("per_channel_weights", case, "4")
    assert 'layers."4".weights.calibrator=minmax' in treated.settings
    everywhere = REPAIRS["per_channel_weights"].everywhere
    assert everywhere is not None
    whole = everywhere(case)
    assert whole is not None
    assert whole.settings == ("weights.granularity=per_channel", 'layers."*".weights.calibrator=minmax')
    for scheme in (treated.case.scheme, whole.scheme):
        assert (scheme.weights_of("4").granularity, scheme.weights_of("4").range) == ("per_channel", None)
    quantizer = treated.case.plan.layers["4"].weight
    assert isinstance(quantizer, Affine)
    assert len(quantizer.scale.unique()) > 1, "channels have scales of their own"


SIGNS = ("weights.type=binary", "weights.bits=1", "weights.granularity=per_tensor")
SIGNED = ("activations.type=binary", "activations.bits=1")
STEPS = ("activations.type=linear", "activations.step=0.125", "activations.range=[-8.0, 7.875]")
REFUSALS = (
    ("clip_weights", Use("", "int8", ("weights.calibrator=mse",)), "mse already"),
    ("clip_weights", Use("", "w32a8"), "no layer here has a quantized weight"),
    ("clip_activations_mse", Use("", "w8a32"), "no output here is quantized"),
    ("clip_activations_entropy", Use("", "tensorrt-int8"), "entropy already"),
    ("cover_range", Use(""), "minmax already"),
    ("cover_weights", Use(""), "minmax already"),
    ("fold_batchnorm", Use(""), "folds BatchNorm already"),
    ("per_channel_weights", Use(""), "per channel or finer already"),
    ("asymmetric_activations", Use(""), "affine already"),
    ("activations_16bit", Use("", "int16x8"), "fewer than 16 bits"),
    ("float_bias", Use("", "tensorrt-int8"), "bias in integers"),
    ("wide_accumulator", Use(""), "the accumulator is wide"),
    ("reduce_weight_bits", Use("", "int8", ("weights.bits=2",)), "two bits"),
    ("reduce_activation_bits", Use("", "int8", ("activations.bits=2",)), "two bits"),
    ("keep_float", Use("", "int8", ('float_layers=["4"]',)), "runs in float already"),
    ("raise_weight_scale", Use(""), "every bias fits"),
    ("raise_weight_scale", Use("", "tensorrt-int8"), "no layer here has a bias in integers"),
    ("float_bias", Use("", "int8", ("weights.type=power_of_two",)), "bias in integers"),
    ("raise_weight_scale", Use("", "int8", ("activations.type=power_of_two",)), "bias in integers"),
    ("clip_activations_entropy", Use("", "int8", ("activations.type=power_of_two",)), "entropy with type"),
    ("clip_weights", Use("", "int8", SIGNS), "calibrator = mse with type = binary"),
    ("clip_activations_mse", Use("", "int8", SIGNED), "calibrator = mse with type = binary"),
    ("clip_activations_mse", Use("", "int8", STEPS), "calibrator = mse with type = linear"),
    ("per_channel_weights", Use("", "int8", SIGNS), "or none of their own"),
    ("asymmetric_activations", Use("", "tensorrt-int8", (*SIGNED, "activations.calibrator=minmax")), "without a zero"),
    ("reduce_weight_bits", Use("", "int8", SIGNS), "two bits"),
    (
        "wide_accumulator",
        Use("", "int8", ("accumulator_bits=12", "weights.type=power_of_two")),
        "no layer here adds up integers in narrow sums",
    ),
)


@pytest.mark.parametrize(("name", "use", "reason"), REFUSALS, ids=[f"{n}: {r}" for n, _, r in REFUSALS])
def test_what_cannot_be_done_is_refused(name: str, use: Use, reason: str) -> None:
    case = opened(use)
    before = snapshot(case)
    with pytest.raises(RepairRefused, match=reason):
        treat(name, case, "4")
    assert_untouched(case, before)


def test_a_sign_that_no_value_has_gives_its_bit_back() -> None:
    """Powers of two have no zero point: after a ReLU all codes are magnitudes."""
    start = ("activations.type=power_of_two", "activations.bits=4")
    case = opened(Use("", "int16x8", start))
    treatment = treat("asymmetric_activations", case, "0")
    counts = []
    for each in (case, treatment.case):
        quantizer = each.plan.layers["0"].output
        assert quantizer is not None
        counts.append(quantizer.record().level_count)
    assert counts == [15, 16]
    assert [cost.value for cost in treatment.costs] == [0.0]


def test_signs_are_widened_to_integers() -> None:
    """And steps that are given to finer ones inside the same bounds."""
    treatment = treat("activations_16bit", opened(Use("", "int8", SIGNED)), "4")
    assert {"activations.type=affine", "activations.bits=16"} <= {
        setting.rpartition('".')[2] for setting in treatment.settings
    }
    assert type_of(treatment.case, "4") == ("affine", 16)
    finer = treat("activations_16bit", opened(Use("", "int8", STEPS)), "4")
    assert type_of(finer.case, "4") == ("linear", 16)
    assert finer.case.scheme.activations_of("4").step == 0.125 / 256


def type_of(case: Case, name: str) -> tuple[str, int]:
    scheme = case.scheme.activations_of(name)
    return scheme.type, scheme.bits


def test_a_magnitude_per_channel_is_a_repair_of_one_for_all() -> None:
    start = (*SIGNS, "weights.scale=float32")
    treatment = treat("per_channel_weights", opened(Use("", "int8", start)), "4")
    weight = treatment.case.plan.layers["4"].weight
    assert weight is not None and weight.granularity == "per_channel"


def test_a_network_without_batchnorm_has_none_to_fold() -> None:
    case = open_test_case(
        nn.Sequential(nn.Linear(4, 4)).eval(), torch.randn(8, 4), load_scheme("int8", ["fold_batchnorm=false"])
    )
    with pytest.raises(RepairRefused, match="the network has none"):
        treat("fold_batchnorm", case)


@pytest.mark.parametrize("name", ["keep_float", "clip_weights", "float_bias", "calibrate_on_measured"])
def test_a_layer_that_does_not_exist(name: str) -> None:
    with pytest.raises(RepairRefused, match="no layer has this name"):
        treat(name, opened(Use("")), "nowhere")


def test_ranges_of_the_measured_data_at_the_named_layer_only() -> None:
    case = opened(Use(""))
    before = snapshot(case)
    treatment = treat("calibrate_on_measured", case, "4")
    assert_untouched(case, before)
    assert changed_layers(case, treatment.case) == {"4"}
    other = open_test_case(net(), OTHERS)
    assert torch.equal(snapshot(treatment.case)["plan:4:output:scale"], snapshot(other)["plan:4:output:scale"])
    with pytest.raises(RepairRefused, match="what the ranges were taken from"):
        treat("calibrate_on_measured", other, "4")


def test_an_earlier_choice_of_scale_does_not_outlive_its_weights() -> None:
    """A scale per tensor, raised for its bias, and then one scale per channel."""
    model, x = nn.Sequential(nn.Linear(4, 3)).eval(), torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model[0].weight.mul_(1e-9)
        model[0].bias.fill_(1.0)
    raised = treat("raise_weight_scale", open_test_case(model, x, "tf-uint8")).case
    both = treat("per_channel_weights", raised).case
    assert_equal_plans(both, with_scheme(SESSION, open_test_case(model, x, "tf-uint8"), both.scheme))
