"""What is done to stored pixels before a network sees them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qdiag.core.listed import count_noun
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, DataError
from qdiag.loaders.images import pixels

ChannelOrder = Literal["rgb", "bgr"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop, channel order, `value * scale`, minus `mean`, over `std`: in this order.

    Attributes:
        resize: pixels of the shorter side after resizing, as Pillow does it (with antialiasing); None: as stored.
        crop: pixels of each side of the centre crop; None: no crop.
        scale: multiplies stored values, 0 to 255.
        mean, std: per channel after `channel_order`, or one for all, in units of the scaled values (with
            `scale = 1/255`: 0 to 1); None: no subtraction, no division.
        channel_order: of the network's input; files and arrays hold RGB.
        interpolation: of the resize.
        channels: 1 (grey) or 3; None: 3 for image files, as stored for arrays (4 become 3).
    """

    resize: int | None = None
    crop: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float = 1.0 / 255.0
    channel_order: ChannelOrder = "rgb"
    interpolation: Interpolation = "bilinear"
    channels: Literal[1, 3] | None = None

    def __post_init__(self) -> None:
        for name, size in (("resize", self.resize), ("crop", self.crop)):
            if size is not None and size < 1:
                raise ConfigError(f"{name} = {size} is too small", hint="use at least 1 pixel")
        if self.resize is not None and self.crop is not None and self.crop > self.resize:
            raise ConfigError(
                f"crop = {self.crop} is larger than resize = {self.resize}", hint="resize to at least the crop"
            )
        if not self.scale > 0.0:
            raise ConfigError(
                f"scale = {self.scale:g} is not positive", hint="use a positive number such as 0.00392157 (1/255)"
            )
        if self.channel_order not in ("rgb", "bgr"):
            raise ConfigError(f"channel_order = {self.channel_order} is neither rgb nor bgr", hint="use rgb or bgr")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ConfigError(f"interpolation = {self.interpolation} is not supported", hint="use bilinear or bicubic")
        if self.channels not in (None, 1, 3):
            raise ConfigError(f"channels = {self.channels} is not supported", hint="use 1 (grey) or 3")
        for name, values in (("`mean`", self.mean), ("`std`", self.std)):
            self._check_per_channel(name, values)
        if self.std is not None and min(self.std) <= 0.0:
            raise ConfigError(
                f"{_numbers(self.std)} holds a number that is not positive",
                at="`std`",
                hint="pixels are divided by it: use positive numbers",
            )

    def _check_per_channel(self, name: str, values: tuple[float, ...] | None) -> None:
        if values is None:
            return
        allowed = (1, self.channels) if self.channels else (1, 3)
        if len(values) not in allowed:
            raise ConfigError(
                f"{len(values)} values are given",
                at=name,
                hint=f"give {' or '.join(map(str, sorted(set(allowed))))}, one for each channel or one for all",
            )
        top = 255.0 * self.scale
        if not all(abs(value) <= top * (1.0 + 1e-6) for value in values):
            raise ConfigError(
                f"{_numbers(values)} lies outside the scaled pixels, 0 to {top:g}",
                at=name,
                hint="divide it by 255, or set `pixel_scale` to 1 as well",
            )

    def override(self, **changes: Any) -> "Preprocessing":
        """A copy with some fields changed; None takes a step away.

        Raises:
            ConfigError: an unknown field, or values that do not fit together.
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise ConfigError(f"there is an unknown preprocessing field {name!r}", hint=nearest_hint(name, names))
        return dataclasses.replace(self, **changes)

    def describe(self) -> str:
        """One line that says it all, for the header and the stored result."""
        steps = []
        if self.resize is not None:
            bicubic = " (bicubic)" if self.interpolation == "bicubic" else ""
            steps.append(f"resize {self.resize}{bicubic}")
        if self.crop is not None:
            steps.append(f"crop {self.crop}")
        steps.append("grey" if self.channels == 1 else self.channel_order.upper())
        steps.append("0..255" if self.scale == 1.0 else f"/{1.0 / self.scale:g}")
        if self.mean is not None:
            steps.append(f"mean {_numbers(self.mean)}")
        if self.std is not None:
            steps.append(f"std {_numbers(self.std)}")
        return ", ".join(steps)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """A decoded image as (H, W, C) uint8, resized and cropped, in RGB or grey.

        Raises:
            DataError: the crop is larger than the image, or the image has more than 8 bits per channel.
        """
        array = pixels.decoded(image, self.channels or 3, self.resize, self.interpolation)
        cropped: NDArray[np.uint8] = pixels.centre_crop(array[None], self.crop)[0]
        return cropped

    def normalized(self, images: NDArray[Any]) -> Tensor:
        """Values 0 to 255, (N, H, W, C) RGB or grey, as the network's input (N, C, H, W) float32.

        numpy does the arithmetic, so that a reading thread never competes with torch's own threads. Dividing by
        `1/scale` gives bit for bit what `x / 255` gives.
        """
        channels = images.shape[-1]
        for name, numbers in (("`mean`", self.mean), ("`std`", self.std)):
            if numbers is not None and len(numbers) not in (1, channels):
                raise DataError(
                    f"{name} has {count_noun(len(numbers), 'value')}, and the images have "
                    f"{count_noun(channels, 'channel')}"
                )
        if self.channel_order == "bgr" and channels == 3:
            images = images[..., ::-1]
        values = np.array(images.transpose(0, 3, 1, 2), dtype=np.float32, order="C")
        values /= np.float32(1.0 / self.scale)
        if self.mean is not None:
            values -= np.asarray(self.mean, dtype=np.float32).reshape(-1, 1, 1)
        if self.std is not None:
            values /= np.asarray(self.std, dtype=np.float32).reshape(-1, 1, 1)
        return torch.from_numpy(values)

    def apply(self, image: Image.Image | NDArray[np.uint8]) -> Tensor:
        """One image, Pillow's or (H, W), (H, W, C) uint8, as (C, H, W) float32.

        Raises:
            DataError: as `pixels`.
        """
        if not isinstance(image, Image.Image):
            image = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image)
        return self.normalized(self.pixels(image)[None])[0]

    def apply_batch(self, images: NDArray[Any]) -> Tensor:
        """Images (N, H, W, C) with values 0 to 255, uint8 or float, as (N, C, H, W) float32.

        One channel stays one unless `channels = 3`; four become three unless `channels = 1`.

        Raises:
            DataError: the crop is larger than the images.
        """
        images = pixels.with_channels(images, self.channels)
        if self.resize is not None:
            images = pixels.resized(images, self.resize, self.interpolation)
        return self.normalized(pixels.centre_crop(images, self.crop))


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

PRESETS: Mapping[str, Preprocessing] = {
    "none": Preprocessing(),
    "imagenet": Preprocessing(resize=256, crop=224, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    "imagenet-stats": Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    "tf": Preprocessing(scale=1.0 / 127.5, mean=(1.0,)),
    "caffe": Preprocessing(scale=1.0, channel_order="bgr", mean=(103.939, 116.779, 123.68)),
    "cifar10": Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
}
"""`none`: x/255. `imagenet`: torchvision's. `imagenet-stats`: the same without resize and crop. `tf`: x/127.5 - 1.
`caffe`: BGR, 0 to 255, minus the mean. `cifar10`: CIFAR-10 mean and std."""


def preset(name: str) -> Preprocessing:
    """A named preprocessing.

    Raises:
        ConfigError: no preset has that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"there is an unknown preprocessing {name!r}", hint=nearest_hint(name, list(PRESETS))
        ) from None


def _numbers(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
