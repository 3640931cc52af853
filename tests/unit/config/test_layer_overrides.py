"""What is different at single layers: written, read, checked, shown, and honoured by the plan."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

import qdiag
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.config import load_scheme
from qdiag.config.scheme_file import change_scheme
from qdiag.core.scheme import FormatName, LayerOverride, QuantScheme, TensorChange, TensorScheme
from qdiag.errors import ConfigError
from qdiag.reading.words.layers import override_lines
from qdiag.writers.json.measurement import from_json, to_json

*_MOST, _LAST = get_args(FormatName)
FORMATS = f"{', '.join(_MOST)} or {_LAST}"

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(36, 5)),
    ).eval()


def test_a_table_per_pattern_in_a_file_and_by_option(tmp_path: Path) -> None:
    path = tmp_path / "npu.toml"
    path.write_text(
        'base = "int8"\n[layers."blocks.12.dw".activations]\nbits = 16\n[layers."head*"]\nbias = "float"\n',
        encoding="utf-8",
    )
    scheme = load_scheme(str(path), ['layers."blocks.12.dw".weights.bits=4'])
    assert scheme.activations_of("blocks.12.dw") == load_scheme("int8", ["activations.bits=16"]).activations
    assert scheme.weights_of("blocks.12.dw") == load_scheme("int8", ["weights.bits=4"]).weights
    assert scheme.weights_of("blocks.1.dw") is scheme.weights
    assert (scheme.bias_of("head.fc"), scheme.bias_of("blocks.12.dw")) == ("float", "int32")
    assert scheme.name == 'npu (layers."blocks.12.dw".weights.bits=4)'


def test_a_shell_may_have_taken_the_quotes() -> None:
    quoted = load_scheme("int8", ['layers."blocks.12.dw".activations.bits=16', "layers.'a=b'.bias=float"])
    bare = load_scheme("int8", ["layers.blocks.12.dw.activations.bits=16", "layers.'a=b'.bias=float"])
    assert quoted == bare
    assert quoted.layers[0] == LayerOverride("blocks.12.dw", activations=TensorChange(bits=16))
    assert quoted.bias_of("a=b") == "float"
    assert load_scheme("int8", ['float_layers=["head"]']).float_layers == ("head",)


def test_what_was_set_last_wins_field_by_field() -> None:
    scheme = load_scheme(
        "int8", ['layers."a".weights.bits=4', 'layers."a".weights.calibrator=mse', 'layers."*".weights.bits=6']
    )
    assert (scheme.weights_of("a").bits, scheme.weights_of("a").calibrator) == (6, "mse")
    again = load_scheme("int8", ['layers."a".weights.bits=4', 'layers."*".weights.bits=6', 'layers."a".weights.bits=5'])
    assert (again.weights_of("a").bits, again.weights_of("b").bits) == (5, 6)


def test_granularity_and_group_size_may_come_apart() -> None:
    settings = ['layers."a".weights.granularity=per_group', 'layers."b".bias=float', 'layers."a".weights.group_size=8']
    scheme = load_scheme("int8", settings)
    assert scheme.weights_of("a").group_size == 8
    base = ["weights.granularity=per_group", "weights.group_size=8"]
    back = load_scheme("int8", [*base, 'layers."a".weights.granularity=per_tensor']).weights_of("a")
    assert (back.granularity, back.group_size) == ("per_tensor", None)


@pytest.mark.parametrize(
    ("assignment", "message", "hint"),
    [
        (
            'layers."a.b".weights.bit=4',
            'there is an unknown key layers."a.b".weights.bit',
            'did you mean layers."a.b".weights.bits?',
        ),
        ('layers."a.b".bais=float', 'there is an unknown key layers."a.b".bais', 'did you mean layers."a.b".bias?'),
        ('layers."a.b".weights.bits="4"', 'layers."a.b".weights.bits = 4: a whole number is needed', None),
        (
            'layers."a.b".bias=int3',
            'layers."a.b".bias = int3: one of int32, int64 or float is needed',
            "did you mean int32?",
        ),
        (
            'layers."a.b".weights.type=powr_of_two',
            f'layers."a.b".weights.type = powr_of_two: one of {FORMATS} is needed',
            "did you mean power_of_two?",
        ),
        ('layers."a.b".weights.bits=1', "bits = 1", "use 2 to 16"),
        ('layers."a.b".weights.calibrator=entropy', "weights.calibrator = entropy", "weights do not move"),
        ('layers."a.b".activations.granularity=per_channel', "activations.granularity = per_channel", "one scale"),
        ("layers=4", "layers = 4 is not a table", 'layers."NAME".weights'),
    ],
)
def test_bad_overrides_say_where_and_what(assignment: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scheme("int8", [assignment])
    assert caught.value.message.startswith(message)
    assert caught.value.at == f"`overrides={assignment}`"
    assert hint is None or hint in str(caught.value.hint)


def test_contradictions_in_a_file_name_the_pattern(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[layers."dw*".weights]\ngroup_size = 4\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="group_size go together") as caught:
        load_scheme(str(path))
    assert caught.value.at == f'{path}: layers."dw*".weights.group_size'
    assert 'overrides=layers."dw*".weights.granularity=per_group' in str(caught.value.hint)


def test_a_pattern_without_a_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"layers\.'9' matches no layer") as caught:
        qdiag.measure(net(), IMAGES, scheme=load_scheme("int8", ["layers.9.bias=float"]))
    assert "input:input, 0" in str(caught.value.hint)


def test_the_measurement_honours_and_keeps_them() -> None:
    scheme = load_scheme(
        "int8", ["layers.0.activations.bits=16", "layers.3.weights.bits=4", "layers.6.weights.bits=32"]
    )
    plain, result = (qdiag.measure(net(), IMAGES, scheme=s) for s in ("int8", scheme))
    quantizers = {record.name: record.quantizer for record in result.records}
    assert quantizers["0"] is not None
    assert (quantizers["0"].bits, quantizers["0"].quant_max) == (16, 65535)
    pooled = result.record("avg_pool2d" if "avg_pool2d" in quantizers else result.records[2].name)
    assert pooled.quantizer is not None
    assert (pooled.quantizer.bits, pooled.quantizer.shared_with) == (16, "0")
    assert result.record("0").local.sqnr_db > plain.record("0").local.sqnr_db
    weights = {record.name: record.weight for record in result.records if record.weight is not None}
    assert weights["3"].bits == 4
    assert weights["3"].channel_sqnr_db_median < 30.0
    assert "6" not in weights
    assert from_json(to_json(result)).scheme == scheme
    assert to_json(from_json(to_json(result))) == to_json(result)


def test_a_histogram_is_kept_where_only_one_layer_asks_for_it() -> None:
    """Percentiles are read from many samples at that layer, and from a few elsewhere."""
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    scheme = load_scheme("int8", ["layers.0.activations.calibrator=percentile", "layers.0.activations.percentile=99"])
    result = qdiag.measure(model, images, scheme=scheme)
    seen = {record.name: record.range for record in result.records}
    assert seen["0"] is not None
    assert seen["2"] is not None
    assert seen["0"].sampled_count > 10 * seen["2"].sampled_count
    assert result.record("0").clipped_count > 0


def test_they_are_shown_in_one_line_per_change() -> None:
    change = TensorChange(calibrator="mse", symmetric=False)
    scheme = QuantScheme(
        layers=(
            *(LayerOverride(f"dw{i}", weights=change) for i in range(6)),
            LayerOverride("head", activations=TensorChange(percentile=99.5), bias="float"),
        )
    )
    assert override_lines(scheme) == (
        "dw0, dw1, dw2, dw3 and 2 more: weights.symmetric false, weights.calibrator mse",
        "head: activations.percentile 99.5, bias float",
    )


def test_weights_only_means_every_layer() -> None:
    settings = ["layers.0.activations.bits=16", "layers.0.weights.bits=4", "layers.0.bias=int32"]
    weights = SchemeOptions("int8", settings, weights_only=True).resolved
    assert weights.activations_of("0").is_float
    assert weights.weights_of("0").bits == 4
    assert weights.bias_of("0") == "float"
    activations = SchemeOptions("int8", settings, activations_only=True).resolved
    assert activations.weights_of("0").is_float
    assert activations.activations_of("0").bits == 16


def test_contradictions_that_meet_at_one_layer_name_it() -> None:
    scheme = QuantScheme(
        weights=TensorScheme(symmetric=True, signed=True),
        layers=(
            LayerOverride("*", weights=TensorChange(narrow_range=True)),
            LayerOverride("3", weights=TensorChange(signed=False)),
        ),
    )
    with pytest.raises(ConfigError, match="narrow_range without signed") as caught:
        qdiag.measure(net(), IMAGES, scheme=scheme)
    assert caught.value.at == "3"


def test_another_type_of_a_layer_takes_what_only_the_former_one_has() -> None:
    """Proposals replace the type of layers whose own table says more; the table of a scheme is treated alike."""
    start = 'layers."a.0".weights.'
    binary = load_scheme("int8", [f"{start}type=binary", f"{start}bits=1", f"{start}scale=float32"])
    assert binary.weights_of("a.0").scale == "float32"
    wide = change_scheme(binary, [f"{start}type=affine", f"{start}bits=8"])
    assert (wide.weights_of("a.0").type, wide.weights_of("a.0").scale) == ("affine", None)
    with pytest.raises(ConfigError, match="scale = float32 with type = affine"):
        change_scheme(binary, [f"{start}type=affine", f"{start}bits=8", f"{start}scale=float32"])
