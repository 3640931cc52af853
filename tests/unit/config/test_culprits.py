"""Errors of schemes name the assignments that they are due to, whatever else is set, for every number format."""

import json
import re
import sys
from pathlib import Path

import pytest

from qdiag.config import load_scheme
from qdiag.errors import ConfigError
from qdiag.numerics.quantizers import QUANTIZERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OTHERS = ("accumulator_bits=24", "activations.calibrator=percentile")
"""Set last, and right."""
FORMATS: dict[str, list[str]] = {
    "affine": [],
    "power_of_two": [],
    "binary": ["weights.bits=1"],
    "ternary": ["weights.bits=2"],
    "linear": ["weights.step=0.125", "weights.range=[-1.0,0.875]", "weights.granularity=per_tensor"],
    "float": [],
    "block_float": ["weights.granularity=per_group", "weights.group_size=32"],
}
WRONG_ANYWHERE = (
    *("bits=0", "bits=1.5", "bits='8'", "bits=true", "granularity=x", "group_size=0", "calibrator=entropy"),
    *("percentile=50", "averaging_constant=nan", "range=[1,-1]", "range=[0,inf]", "range=[1]", "element=x", "scale=x"),
    *("stochastic_seed=-1", "stochastic_seed=18446744073709551616", "step=0", "step=-0.5", "step=nan", "step=inf"),
)
FOREIGN = {
    "bits=2": ("binary", "float", "block_float", "linear"),
    "granularity=per_group": ("affine", "power_of_two", "binary", "ternary", "linear", "float"),
    "calibrator=mse": ("binary", "ternary", "linear", "block_float"),
    "range=[-2.0,2.0]": ("binary", "ternary", "block_float"),
    "element=e4m3": ("affine", "power_of_two", "binary", "ternary", "linear"),
    "scale=e8m0": ("affine", "power_of_two", "binary", "ternary", "linear", "float"),
    "saturate=false": ("affine", "power_of_two", "binary", "ternary", "linear", "block_float"),
    "center=true": ("affine", "power_of_two", "ternary", "linear", "float", "block_float"),
    "stochastic_seed=1": ("affine", "power_of_two", "ternary", "linear", "float", "block_float"),
    "step=0.3": ("affine", "power_of_two", "binary", "ternary", "linear", "float", "block_float"),
}
"""Values that some formats have, and those that do not."""


def refused(*overrides: str, ref: str = "int8") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_scheme(ref, overrides)
    return caught.value


def named(error: ConfigError) -> list[str]:
    """The assignments that an error names."""
    return re.findall(r"`overrides=([^`]*)`", str(error.at))


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_every_wrong_value_is_named_and_nothing_else_that_is_right(kind: str) -> None:
    own = [f"weights.type={kind}", *FORMATS[kind]]
    load_scheme("int8", own)
    for value in (*WRONG_ANYWHERE, *(value for value, kinds in FOREIGN.items() if kind in kinds)):
        wrong = f"weights.{value}"
        error = refused(*own, wrong, *OTHERS)
        assert wrong in named(error), (value, error.at)
        assert not set(named(error)) & set(OTHERS), (value, error.at)
        key = wrong.partition("=")[0].removeprefix("weights.")
        assert key in error.message, (value, error.message)
        for name in named(error):  # each of them is in the message too: two that contradict each other
            assert name.partition("=")[0].removeprefix("weights.") in error.message, (value, error.message, name)


@pytest.mark.parametrize("section", ["weights", "activations", 'layers."a.b".weights'])
def test_the_hint_of_given_steps_is_complete(section: str) -> None:
    start = [f"{section}.type=linear"]
    error = refused(*start, *OTHERS)
    assert error.message == "type = linear needs step and range"
    assert named(error) == start
    wanted = re.findall(r"`overrides=([^`]*)`", str(error.hint))
    assert {one.partition("=")[0].rpartition(".")[2] for one in wanted} == {"step", "range", "granularity"}
    assert "`bits`" not in str(error.hint), "an option of that name is another thing"
    load_scheme("int8", [*start, *wanted])


def test_a_step_of_zero_is_refused_with_every_format_and_in_float() -> None:
    for overrides in ([], ["weights.bits=32"], ["weights.type=linear", "weights.range=[-1.0,1.0]"]):
        assert refused("weights.step=0", *overrides).message.startswith("step = 0 ")
    assert refused('layers."a".activations.step=0.0').at == '`overrides=layers."a".activations.step=0.0`'


def test_a_file_is_named_with_the_key_in_it_and_not_what_is_set_beside(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('base = "mxfp4"\n[weights]\nbits = 3\n', encoding="utf-8")
    error = refused("activations.bits=8", ref=str(path))
    assert error.at == f"{path}: weights.bits", "neither the preset nor the option is wrong"
    path.write_text('[weights]\ntype = "linear"\nstep = 0.0\nrange = [-1.0, 1.0]\n', encoding="utf-8")
    assert refused(ref=str(path)).at == f"{path}: weights.step"
    path.write_text("[weights]\nnarrow_range = true\nsigned = false\n", encoding="utf-8")
    assert refused(ref=str(path)).at == f"{path}: weights.narrow_range and {path}: weights.signed"


def test_two_options_that_contradict_each_other_are_both_named() -> None:
    error = refused("weights.narrow_range=true", "weights.signed=false", *OTHERS)
    assert named(error) == ["weights.narrow_range=true", "weights.signed=false"]
    error = refused("weights.element=e5m2", *OTHERS, ref="mxfp4")
    assert named(error) == ["weights.element=e5m2"]


def in_toml(assignments: list[str]) -> str:
    """The same as lines of a file, a later one in place of an earlier one; bare words get their quotes."""
    lines: dict[str, str] = {}
    for key, _, value in (one.rpartition("=") for one in assignments):
        try:
            tomllib.loads(f"x = {value}")
        except tomllib.TOMLDecodeError:
            value = json.dumps(value)
        lines[key] = value
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


@pytest.mark.parametrize("section", ["weights", 'layers."a.*".activations'])
@pytest.mark.parametrize("kind", QUANTIZERS)
def test_a_file_with_a_wrong_combination_is_named_with_its_key(kind: str, section: str, tmp_path: Path) -> None:
    """Every wrong value with every format, beside keys that are right: the file and the keys that contradict."""
    path, is_weight = tmp_path / "own.toml", section == "weights"
    own = [one.replace("weights.", f"{section}.") for one in (f"weights.type={kind}", *FORMATS[kind])]
    others = ["accumulator_bits=24", f"{'activations' if is_weight else 'weights'}.bits=6"]
    path.write_text(in_toml([*own, *others]), encoding="utf-8")
    if is_weight or kind != "ternary":
        load_scheme(str(path))
    for value in (*WRONG_ANYWHERE, *(value for value, kinds in FOREIGN.items() if kind in kinds)):
        if value == "calibrator=entropy" and not is_weight:
            continue  # right for activations
        path.write_text(in_toml([*own, f"{section}.{value}", *others]), encoding="utf-8")
        error, key = refused(ref=str(path)), value.partition("=")[0]
        places = str(error.at).split(" and ")
        assert f"{path}: {section}.{key}" in places, (value, error.at)
        assert all(place.startswith(f"{path}: {section}.") for place in places), (value, error.at)
        assert key in error.message, (value, error.message)


@pytest.mark.parametrize(
    ("body", "key", "message"),
    [
        ("accumulator_bits = 3", "accumulator_bits", "accumulator_bits = 3"),
        ("accumulator_bits = 32.5", "accumulator_bits", "a whole number is needed"),
        ('bias = "int16"', "bias", "one of int32, int64 or float is needed"),
        ('batchnorm = "x"', "batchnorm", "one of exact or shift is needed"),
        ("fold_batchnorm = 1", "fold_batchnorm", "true or false is needed"),
        ('pair_saturation = "yes"', "pair_saturation", "true or false is needed"),
        ('float_layers = "a"', "float_layers", "a list is needed"),
        ("split_concats = [1]", "split_concats", "text in quotes is needed"),
        ("name = 3", "name", "text in quotes is needed"),
        ("unknown = 1", "unknown", "unknown key unknown"),
        ("weights = 8", "weights", "is not a table"),
        ("layers = []", "layers", "is not a table"),
        ("[weights]\nbits = [8]", "weights.bits", "a whole number is needed"),
        ("[weights.foo]\nx = 1", "weights.foo.x", "unknown key"),
        ('[weights]\ncalibrator = "moving_average"', "weights.calibrator", "weights.calibrator = moving_average"),
        ('[activations]\ngranularity = "per_channel"', "activations.granularity", "activations.granularity = per_"),
        ('[activations]\ntype = "ternary"\nbits = 2', "activations.type", "activations.type = ternary"),
        ('[activations]\ntype = "binary"\nbits = 1\ncenter = true', "activations.center", "binary with scale, center"),
        (
            "[activations]\nchannel_ranges = [[0, 1]]",
            "activations.channel_ranges",
            "channel_ranges needs type = affine",
        ),
        ("[layers]\nx = 1", "layers.x", "unknown key layers.x"),
        ('[layers."a"]\nweights = 3', 'layers."a".weights', 'unknown key layers."a".weights'),
        ('[layers."a"]\nbias = "int8"', 'layers."a".bias', "one of int32, int64 or float is needed"),
        ('base = "int9"', "base", "no scheme is called int9"),
        ('base = "absent.toml"', "base", "base = absent.toml: no such file"),
    ],
)
def test_what_a_file_says_wrongly_is_named_by_its_key(body: str, key: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f"{body}\n", encoding="utf-8")
    error = refused(ref=str(path))
    assert message in error.message
    assert f"{path}: {key}" in str(error.at).split(" and ")
    assert "int8" in str(error.hint) or key != "base" or "relative path" in str(error.hint)
