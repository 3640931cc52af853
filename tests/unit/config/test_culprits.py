"""Errors of schemes name the assignments that they are due to, whatever else is set, for every number format."""

import re
from pathlib import Path

import pytest

from qdiag.config import load_scheme
from qdiag.errors import ConfigError
from qdiag.numerics.quantizers import QUANTIZERS

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
        assert refused("weights.step=0", *overrides).message == "step = 0"
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
