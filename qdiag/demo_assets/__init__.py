"""The network and the images of `qdiag demo`; `README.md` beside this file says how they came about."""

from pathlib import Path
from typing import Final

DEMO_ARCH = "zoo:mobilenet_v1_small?width=0.25"
"""What builds the network of the checkpoint."""

DEMO_PRESET: Final = "tf"
"""Name of the preprocessing that the network was trained with: x/127.5 - 1."""

DEMO_NETWORK = """\
The network: a small MobileNetV1 (7 blocks, ReLU6, 38,618 parameters) that reads scikit-learn's handwritten digits, \
scaled up to 32 x 32. 1,297 images trained it, 100 calibrate, 400 are measured."""
"""What is measured: to be said before."""

DEMO_FAULT = """\
What is wrong with it: 8 channels of its depthwise layers (blocks 0, 1, 2 and 5) are dead. (Ten channels of other \
layers are dead too, but their folded weights are no larger than those of live channels.) Only zeros reach them, the \
variance in their BatchNorm has decayed to nothing (below 1e-12), and so their gain gamma / sqrt(variance + eps) is \
set by eps alone: up to 38, against 0.15 at most for the median of a layer's live channels. Folded into the kernel, \
that gain makes weights that multiply zeros 77 to 114 times larger than any that matters, and a scale shared by the \
whole tensor has hardly a step left for the rest. MobileNetV1 fails in the same way on ImageNet (arXiv 1803.08607).

Arranged or not: the channels died in training, under a high learning rate (0.6) and a strong weight decay (0.02), and \
nothing was edited afterwards. That they hurt so much was arranged: the depthwise kernels start with standard \
deviation 4 instead of torch's 0.19. BatchNorm hides that from the float network, but a channel that dies keeps the \
kernel it started with. Trained from 0.19, the same network also has dead channels, and loses a quarter of a point."""
"""What the measurement should find, and how it came about: to be said after."""


def demo_model_path() -> Path:
    """The checkpoint, a state dict in safetensors."""
    return Path(__file__).with_name("digits_mobilenet.safetensors")


def demo_data_path() -> Path:
    """The images: `calib_images` (100, 32, 32, 3) and `eval_images` (400, 32, 32, 3), uint8 RGB, and their labels."""
    return Path(__file__).with_name("digits.npz")
