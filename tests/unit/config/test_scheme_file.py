from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from qdiag.config import DEFAULT_PRESET, load_preset, load_scheme, preset_names
from qdiag.config.presets import preset_path
from qdiag.core.formats.float_format import ElementName
from qdiag.core.scheme import FormatName, QuantScheme, TensorScheme
from qdiag.errors import ConfigError

*_MOST, _LAST = get_args(FormatName)
FORMATS = f"{', '.join(_MOST)} or {_LAST}"
*_MOST, _LAST = get_args(ElementName)
ELEMENTS = f"{', '.join(_MOST)} or {_LAST}"


def test_every_preset_is_a_scheme_that_bears_its_own_name() -> None:
    assert set(preset_names()) == {
        *("tf-uint8", "int8", "tensorrt-int8", "x86-reduce-range", "int16x8", "w4a8", "w8a32", "w32a8"),
        *("w4a16-g128", "w3a16-g128", "fp8-e4m3", "mxfp8", "mxfp4", "nvfp4"),
        *("bnn", "xnor", "twn", "log4", "w2a2"),
    }
    for name in preset_names():
        scheme = load_preset(name)
        assert scheme.name == name
        assert scheme.description


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_names_the_source_of_its_convention(name: str) -> None:
    text = preset_path(name).read_text(encoding="utf-8")
    assert "# Source: " in text or "control experiment" in text


def test_tf_uint8_is_the_scheme_of_the_paper() -> None:
    uint8 = TensorScheme(bits=8, symmetric=False, signed=False, granularity="per_tensor", calibrator="minmax")
    scheme = load_preset("tf-uint8")
    assert (scheme.weights, scheme.activations, scheme.bias) == (uint8, uint8, "int32")


def test_the_default_has_weights_per_channel_and_affine_activations() -> None:
    scheme = load_scheme(DEFAULT_PRESET)
    assert (scheme.weights.quant_min, scheme.weights.quant_max) == (-128, 127)
    assert (scheme.activations.quant_min, scheme.activations.quant_max) == (0, 255)
    assert scheme.weights.granularity == "per_channel"


def test_reduced_range_leaves_one_bit_of_the_activations_unused() -> None:
    scheme = load_preset("x86-reduce-range")
    assert scheme.activations.quant_max == 127
    assert scheme.pair_saturation
    assert scheme.bias == "float"


@pytest.mark.parametrize(("name", "weights", "activations"), [("w8a32", 8, 32), ("w32a8", 32, 8), ("w4a8", 4, 8)])
def test_presets_derived_from_int8_change_the_bits_only(name: str, weights: int, activations: int) -> None:
    scheme = load_preset(name)
    assert (scheme.weights.bits, scheme.activations.bits) == (weights, activations)
    assert scheme.weights.granularity == "per_channel"


def test_overrides_are_typed_ordered_and_named() -> None:
    scheme = load_scheme("int8", ["weights.bits=6", "weights.bits = 4", "bias=float", "float_layers=['head*']"])
    assert scheme.weights.bits == 4
    assert scheme.bias == "float"
    assert scheme.float_layers == ("head*",)
    assert scheme.name == "int8 (weights.bits=4, bias=float, float_layers=[head*])"
    assert load_scheme("int8", ["name=mine", "weights.bits=4"]).name == "mine"


def test_changes_leave_no_description_that_contradicts_them() -> None:
    assert load_scheme("tf-uint8").description == load_preset("tf-uint8").description
    assert load_scheme("tf-uint8", ["weights.granularity=per_channel"]).description == ""
    assert load_scheme("tf-uint8", ["weights.bits=4", "description=four bits"]).description == "four bits"


def test_a_file_starts_from_its_base_and_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "tensorrt-int8"\n[activations]\ncalibrator = "percentile"\npercentile = 99\n')
    scheme = load_scheme(str(path))
    assert scheme.name == "mine"
    assert scheme.activations.calibrator == "percentile"
    assert scheme.activations.percentile == 99.0
    assert scheme.weights == load_preset("tensorrt-int8").weights


def test_a_base_may_lie_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text("accumulator_bits = 24\n")
    (tmp_path / "second.toml").write_text('base = "first.toml"\nbias = "float"\n')
    assert load_scheme(str(tmp_path / "second.toml")) == QuantScheme(name="second", accumulator_bits=24, bias="float")


def test_what_a_file_leaves_open_is_as_in_the_default_scheme(tmp_path: Path) -> None:
    (tmp_path / "open.toml").write_text("[activations]\nbits = 7\n")
    scheme = load_scheme(str(tmp_path / "open.toml"))
    assert scheme.activations == TensorScheme(bits=7, symmetric=False, signed=False)
    assert scheme.weights == QuantScheme().weights
    (tmp_path / "mirrored.toml").write_text("[activations]\nsymmetric = true\n")
    assert load_scheme(str(tmp_path / "mirrored.toml")).activations == TensorScheme()


def refusal(ref: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_scheme(ref, overrides)
    return caught.value


def test_an_unknown_key_is_refused_with_file_key_and_the_nearest_known_one(tmp_path: Path) -> None:
    path = tmp_path / "typo.toml"
    path.write_text('[activations]\ncalibrater = "minmax"\n')
    error = refusal(str(path))
    assert error.message == "there is an unknown key activations.calibrater"
    assert error.at == f"{path}: activations.calibrater"
    assert error.hint == "did you mean activations.calibrator?"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("weights.bit=4", "there is an unknown key weights.bit"),
        ("weights.bits='4'", "weights.bits = 4: a whole number is needed"),
        ("weights.bits=true", "weights.bits = true: a whole number is needed"),
        ("weights.bits=4.5", "weights.bits = 4.5: a whole number is needed"),
        ("weights.symmetric=1", "weights.symmetric = 1: true or false is needed"),
        ("activations.percentile=high", "activations.percentile = high: a number is needed"),
        ("bias=int3", "bias = int3: one of int32, int64 or float is needed"),
        ("weights.type=flaot", f"weights.type = flaot: one of {FORMATS} is needed"),
        ("weights.element=e4m4", f"weights.element = e4m4: one of {ELEMENTS} is needed"),
        ("weights.element=e4m3", "element = e4m3 with type = affine"),
        ("weights=4", "weights = 4 is not a table"),
        ("bits", "this is not of the form key=value"),
        ("weights.bits=1", "bits = 1"),
        ("weights.granularity=per_group", "granularity = per_group and group_size go together"),
        ("activations.granularity=per_channel", "activations.granularity = per_channel"),
        ("base=w4a8", "base belongs into a TOML file"),
    ],
)
def test_a_bad_override_says_which_option_and_what_is_wrong(assignment: str, message: str) -> None:
    error = refusal("int8", assignment)
    assert error.message.startswith(message)
    assert error.at == f"`overrides={assignment}`"


@pytest.mark.parametrize("assignment", ["weights.type=power_of_tow", "activations.type=powerof2"])
def test_the_nearest_number_format_is_named(assignment: str) -> None:
    assert refusal("int8", assignment).hint == "did you mean power_of_two?"


def test_the_threshold_of_entropy_is_for_even_steps() -> None:
    error = refusal("tensorrt-int8", "activations.type=power_of_two")
    assert error.message == "activations.calibrator = entropy with type = power_of_two is not possible"
    assert "percentile" in str(error.hint)


def test_an_unknown_scheme_names_the_nearest_and_all() -> None:
    error = refusal("int-8")
    assert error.message == "no scheme is called int-8"
    assert error.hint is not None
    assert error.hint.startswith(f"did you mean int8? known: {', '.join(preset_names())}")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "absent.toml")).message == "there is no such file"
    (tmp_path / "broken.toml").write_text("bias = \n")
    assert refusal(str(tmp_path / "broken.toml")).message.startswith("this is not valid TOML")
    (tmp_path / "loop.toml").write_text('base = "loop.toml"\n')
    assert refusal(str(tmp_path / "loop.toml")).message == "base leads back to this file"
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert refusal(str(tmp_path / "binary.toml")).message.startswith("it cannot be read")
    (tmp_path / "range.toml").write_text("[weights]\nbits = 40\n")
    error = refusal(str(tmp_path / "range.toml"))
    assert (error.message, error.at) == ("bits = 40 is out of range", f"{tmp_path / 'range.toml'}: weights.bits")


def test_a_range_may_be_given_by_hand() -> None:
    scheme = load_scheme("int8", ["activations.range=[-4, 2.5]"])
    assert scheme.activations.range == (-4.0, 2.5)
    own = load_scheme("int8", ['layers."fc".activations.range=[-1.0, 1.0]'])
    assert own.activations.range is None
    assert own.activations_of("fc").range == (-1.0, 1.0)


@pytest.mark.parametrize("value", ["[2.0, -1.0]", "[1.0, 1.0]", "[-inf, 1.0]", "[nan, 1.0]"])
def test_a_range_needs_two_finite_numbers_in_order(value: str) -> None:
    with pytest.raises(ConfigError, match="range"):
        load_scheme("int8", [f"activations.range={value}"])


@pytest.mark.parametrize("base", ["[" * 3000, "a\\u0000b"])
def test_a_base_that_can_be_no_file_is_an_unknown_scheme(base: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'base = "{base}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="no scheme is called"):
        load_scheme(str(path))


@pytest.mark.parametrize(
    ("preset", "assignments", "same_as"),
    [
        ("mxfp4", ["weights.bits=8", "activations.bits=8"], "mxfp8"),
        ("mxfp4", ["weights.granularity=per_channel", "weights.type=affine", "weights.bits=8"], None),
        ("w4a16-g128", ["weights.granularity=per_channel"], None),
        ("mxfp8", ["weights.type=float", "weights.granularity=per_tensor"], None),
        ("fp8-e4m3", ["activations.type=affine"], None),
        ("mxfp4", ["activations.bits=32"], None),
    ],
)
def test_what_an_option_makes_meaningless_goes(preset: str, assignments: list[str], same_as: str | None) -> None:
    """A preset's group size, element and scale go with the granularity, the bits and the type that they belong to."""
    scheme = load_scheme(preset, assignments)
    for one in (scheme.weights, scheme.activations):
        assert (one.group_size is None) == (one.granularity != "per_group")
        assert one.scale is None or one.type in ("float", "block_float")
    if same_as is not None:
        other = load_preset(same_as)
        assert scheme.weights == replace(other.weights, element=None)
        assert scheme.activations == replace(other.activations, element=None)


def test_what_an_option_says_twice_still_contradicts() -> None:
    error = refusal("mxfp4", "weights.element=e4m3")
    assert error.message == "bits = 4 with element = e4m3 is not possible"
    assert refusal("w4a16-g128", "activations.element=e4m3").message == "bits = 16 with element = e4m3 is not possible"


def test_a_file_over_a_preset_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "npu.toml"
    path.write_text('base = "nvfp4"\n[weights]\ntype = "affine"\nbits = 8\ngranularity = "per_channel"\n')
    scheme = load_scheme(str(path))
    assert (scheme.weights.type, scheme.weights.scale, scheme.weights.group_size) == ("affine", None, None)
    assert scheme.activations == load_preset("nvfp4").activations
