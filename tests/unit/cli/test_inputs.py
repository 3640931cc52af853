from pathlib import Path
from typing import get_args

import pytest
import torch

from qdiag.cli.inputs import ModelOptions, open_data, open_subject
from qdiag.cli.options.data import DataOptions, PreprocessingPreset
from qdiag.cli.options.preprocessing import preprocessing_of
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.images.preprocessing import PRESETS, Preprocessing
from qdiag.simulate.session import Session
from qdiag.subject import Subject


def test_the_choices_of_preset_are_those_of_the_loaders() -> None:
    assert set(get_args(PreprocessingPreset)) == set(PRESETS)


def test_nothing_said_about_preprocessing_leaves_it_to_the_loader() -> None:
    assert preprocessing_of(DataOptions()) is None


def test_single_steps_replace_those_of_the_preset() -> None:
    options = DataOptions(preset="imagenet", crop=192, channel_order="bgr")
    assert preprocessing_of(options) == PRESETS["imagenet"].override(crop=192, channel_order="bgr")
    steps = DataOptions(mean="0.5", std="0.2,0.3,0.4", pixel_scale=1 / 255)
    assert preprocessing_of(steps) == Preprocessing(mean=(0.5,), std=(0.2, 0.3, 0.4))


def test_one_side_alone_leaves_the_other_and_the_bias_in_float() -> None:
    weights = SchemeOptions(weights_only=True).resolved
    assert (weights.weights.bits, weights.activations.bits, weights.bias) == (8, 32, "float")
    assert weights.name == "int8, weights only"
    activations = SchemeOptions(activations_only=True).resolved
    assert (activations.weights.bits, activations.activations.bits, activations.bias) == (32, 8, "float")
    assert not SchemeOptions(no_fold=True).resolved.fold_batchnorm


def test_both_sides_alone_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        _ = SchemeOptions(weights_only=True, activations_only=True).resolved


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no such file") as caught:
        open_subject(ModelOptions(str(tmp_path / "net.pt")))
    assert caught.value.at == str(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DataOptions(), "no --data, and no shape"),
        (DataOptions(calib_data="x.npz"), "--calib-data needs --data"),
        (DataOptions(targets="masks"), "--targets needs --data"),
        (DataOptions(preset="tf"), "options of preprocessing need --data"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: DataOptions, message: str) -> None:
    subject = Subject(torch.nn.Linear(2, 2), "module", "Linear", "Linear")
    with pytest.raises(ConfigError, match=message):
        open_data(options, ModelOptions("net.pt"), subject, Session())
