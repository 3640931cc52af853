"""Schemes as TOML text, read again; and ranges of single channels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.config import load_preset, load_scheme, preset_names
from qdiag.config.scheme_text import scheme_toml
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange, TensorScheme
from qdiag.errors import CalibrationError, ConfigError


def read_again(scheme: QuantScheme, folder: Path) -> QuantScheme:
    file = folder / "scheme.toml"
    file.write_text(scheme_toml(scheme, "Made by a test.\nOn two lines."), encoding="utf-8")
    return load_scheme(str(file))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    assert read_again(load_preset(name), tmp_path) == load_preset(name)


def test_layers_with_names_that_need_quotes_and_ranges_of_their_own(tmp_path: Path) -> None:
    ranges = ((-0.1, 0.1), (-1e-7, 2.5))
    scheme = replace(
        load_preset("int8"),
        name='a "quoted" name',
        float_layers=("head.*",),
        layers=(
            LayerOverride("input:x", activations=TensorChange(range=(-1.0, 3.0))),
            LayerOverride('a.b "c"', weights=TensorChange(channel_ranges=ranges, bits=4), bias="float"),
        ),
    )
    assert read_again(scheme, tmp_path) == scheme


def test_entries_of_one_pattern_are_joined_and_later_ones_win(tmp_path: Path) -> None:
    first = LayerOverride("conv", weights=TensorChange(bits=4), activations=TensorChange(bits=6))
    second = LayerOverride("conv", activations=TensorChange(bits=5, range=(0.0, 1.0)))
    scheme = replace(load_preset("int8"), layers=(first, LayerOverride("fc", bias="float"), second))
    again = read_again(scheme, tmp_path)
    assert again.layers != scheme.layers
    for layer in ("conv", "fc", "other"):
        assert again.weights_of(layer) == scheme.weights_of(layer)
        assert again.activations_of(layer) == scheme.activations_of(layer)
        assert again.bias_of(layer) == scheme.bias_of(layer)


def test_channels_have_the_ranges_that_they_are_given() -> None:
    scheme = TensorScheme(granularity="per_channel", channel_ranges=((-1.0, 1.0), (-0.25, 0.5)))
    quantizer = CALIBRATORS["minmax"].weight(torch.randn(2, 3, 3, 3), scheme, 0)
    torch.testing.assert_close(quantizer.scale, torch.tensor([2.0 / 255.0, 1.0 / 255.0]))  # type: ignore[attr-defined]
    with pytest.raises(CalibrationError, match=r"2 ranges, the weight 4 channels"):
        CALIBRATORS["minmax"].weight(torch.randn(4, 3), scheme, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"granularity": "per_tensor"},
        {"granularity": "per_channel", "range": (0.0, 1.0)},
        {"granularity": "per_channel", "type": "power_of_two"},
    ],
)
def test_channel_ranges_belong_to_even_steps_per_channel(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="channel_ranges"):
        TensorScheme(channel_ranges=((-1.0, 1.0),), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", [(1.0, -1.0), (0.0, float("inf"))])
def test_a_channel_range_has_two_ends(pair: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="at channel 1"):
        TensorScheme(granularity="per_channel", channel_ranges=((-1.0, 1.0), pair))


@pytest.mark.parametrize(
    "change",
    [
        TensorChange(granularity="per_tensor"),
        TensorChange(range=(0.0, 1.0)),
        TensorChange(calibrator="mse"),
        TensorChange(type="ternary", bits=2),
    ],
)
def test_what_takes_their_place_takes_them_away(change: TensorChange) -> None:
    scheme = TensorScheme(granularity="per_channel", channel_ranges=((-1.0, 1.0),))
    assert change.over(scheme).channel_ranges is None
    assert TensorChange(bits=4).over(scheme).channel_ranges == ((-1.0, 1.0),)


def test_a_description_is_written_where_there_is_one() -> None:
    scheme = load_scheme("tf-uint8")
    assert "description = " in scheme_toml(scheme)
    assert "description" not in scheme_toml(load_scheme("tf-uint8", ["weights.bits=4"]))
