"""The shipped network and images are what their README and the story on screen say."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from qdiag.demo_assets import DEMO_ARCH, DEMO_FAULT, DEMO_NETWORK, DEMO_PRESET, demo_data_path, demo_model_path
from qdiag.loaders.images.preprocessing import preset
from qdiag.zoo import build
from tools import train_demo

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    name, _, width = DEMO_ARCH.removeprefix("zoo:").partition("?width=")
    network = build(name, {"width": width})
    network.load_state_dict(load_file(demo_model_path()))
    return network


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    with np.load(demo_data_path(), allow_pickle=False) as stored:
        return dict(stored)


def test_files_are_small() -> None:
    assert demo_model_path().stat().st_size < 2_000_000
    assert demo_data_path().stat().st_size < 2_000_000


def test_images_are_those_of_scikit_learn_and_keep_clear_of_training(arrays: Arrays) -> None:
    made = train_demo.digits(seed=0)
    assert set(arrays) == {"calib_images", "calib_labels", "eval_images", "eval_labels"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, made[name])
    assert [len(made[f"{split}_images"]) for split in ("train", "calib", "eval")] == [1297, 100, 400]
    trained = {image.tobytes() for image in made["train_images"]}
    assert not any(image.tobytes() in trained for image in (*arrays["calib_images"], *arrays["eval_images"]))


def test_preprocessing_is_that_of_training(arrays: Arrays) -> None:
    torch.testing.assert_close(
        preset(DEMO_PRESET).normalized(arrays["calib_images"]), train_demo.to_input(arrays["calib_images"])
    )


def test_per_tensor_fails_and_the_repair_gives_it_back(model: nn.Module, arrays: Arrays) -> None:
    measured = train_demo.accuracies(model, arrays)
    assert measured["float"] >= 97.0
    assert measured["float, BatchNorm folded"] == measured["float"]
    assert measured["uint8 per tensor"] <= 60.0
    assert measured["uint8 per channel"] >= measured["float"] - 2.0
    assert measured["float, dead variances repaired"] == measured["float"]
    assert measured["uint8 per tensor, repaired"] >= measured["float"] - 2.0


@torch.no_grad()
def test_the_story_tells_what_is_there(model: nn.Module, arrays: Arrays) -> None:
    assert f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters" in DEMO_NETWORK
    folded = train_demo.fold(model)
    arriving: dict[str, Tensor] = {}
    blocks = dict(model.get_submodule("blocks").named_children())
    for index in blocks:
        model.get_submodule(f"blocks.{index}.dw").register_forward_pre_hook(
            lambda _module, inputs, index=index: arriving.update({index: inputs[0].abs().amax((0, 2, 3))})
        )
    model(train_demo.to_input(arrays["eval_images"]))
    dead_blocks, blow_ups, gains, live_medians, dead_count = [], [], [], [], 0
    for index, block in blocks.items():
        bn = block.get_submodule("dw_bn")
        variance = bn.running_var
        assert isinstance(variance, Tensor)
        dead = variance < train_demo.DEAD_VARIANCE
        if not dead.any():
            continue
        assert float(variance[dead].max()) < 1e-12
        assert float(arriving[index][dead].max()) == 0.0
        gain = (bn.weight / (variance + bn.eps).sqrt()).abs()
        peak = folded.get_submodule(f"blocks.{index}.dw").weight.abs().flatten(1).amax(1)
        dead_blocks.append(index)
        dead_count += int(dead.sum())
        blow_ups.append(float(peak[dead].max() / peak[~dead].max()))
        gains.append(float(gain[dead].max()))
        live_medians.append(float(gain[~dead].median()))
    assert f"{dead_count} channels" in DEMO_FAULT
    assert f"(blocks {', '.join(dead_blocks[:-1])} and {dead_blocks[-1]})" in DEMO_FAULT
    assert f"{min(blow_ups):.0f} to {max(blow_ups):.0f} times" in DEMO_FAULT
    assert f"up to {max(gains):.0f}, against {max(live_medians):.2f} at most" in DEMO_FAULT
