"""Small networks that classify without having been trained: random filters, and a last layer fitted in closed form.

Convolutions have no padding, so that a constant added to a channel stays a constant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 8
SIZE = 12


@dataclass(frozen=True)
class Data:
    """Images (N, 3, 12, 12) with class numbers: to fit on, to calibrate on, to measure on."""

    fit: tuple[Tensor, Tensor]
    calibration: tuple[Tensor, Tensor]
    measured: tuple[Tensor, Tensor]

    def changed(self, **parts: Callable[[Tensor], Tensor]) -> "Data":
        """With the images of some parts changed."""
        new = {name: (change(getattr(self, name)[0]), getattr(self, name)[1]) for name, change in parts.items()}
        return Data(**{**vars(self), **new})


def draw_data(noise: float = 2.0) -> Data:
    """Smooth class patterns of unit variance under white noise of standard deviation `noise`.

    At 2 the classifiers are right on 95 to 98 of 100 images: near enough to the border between classes to feel noise,
    far enough to bear eight bits.
    """
    generator = torch.Generator().manual_seed(7)
    coarse = torch.randn(CLASSES, 3, 3, 3, generator=generator)
    patterns = nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear")
    patterns = patterns / patterns.std((1, 2, 3), keepdim=True)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(count) % CLASSES
        return patterns[labels] + noise * torch.randn(count, 3, SIZE, SIZE, generator=generator), labels

    return Data(draw(640), draw(64), draw(320))


DATA = draw_data()


class Chain(nn.Module):
    """Stem, body, head, then a linear classifier on 2 x 2 means: the skeleton of all planted networks."""

    def __init__(
        self,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
        norm: Callable[[int], nn.Module] | None = None,
        depthwise: bool = False,
        body_kernel: int = 3,
        width: int = 16,
    ) -> None:
        super().__init__()

        def block(c_in: int, c_out: int, kernel: int, groups: int = 1) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, kernel, groups=groups, bias=norm is None)
            return nn.Sequential(conv, *([norm(c_out)] if norm is not None else []), activation())

        self.stem = block(3, width, 3)
        self.body = block(width, width, body_kernel, groups=width if depthwise else 1)
        self.head = block(width, 24, 1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(96, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        return self.pool(self.head(self.body(self.stem(x)))).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


def build(make: Callable[[], Chain] = Chain) -> Chain:
    """Random filters, always the same, and nothing else yet."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = make().eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_()
                if module.bias is not None:
                    module.bias.zero_()
    return model


def settle(model: Chain, data: Data = DATA, *, mean: float = 0.0, std: float = 1.0) -> Chain:
    """Scales each block on the images to fit on, then fits the classifier.

    Args:
        mean, std: of every channel before the activation, where there is no BatchNorm; where there is one, its
            statistics become those of the images.
    """
    images = data.fit[0]
    with torch.no_grad():
        for block in (model.stem, model.body, model.head):
            norm = block[1]
            if isinstance(norm, nn.BatchNorm2d):
                seen = _output_of(block[0], model, images)
                norm.running_mean.copy_(seen.mean((0, 2, 3)))
                norm.running_var.copy_(seen.var((0, 2, 3)))
            elif block[0].bias is not None:
                seen = _output_of(block[0], model, images)
                old_mean, old_std = seen.mean((0, 2, 3)), seen.std((0, 2, 3)) / std
                block[0].weight /= old_std.view(-1, 1, 1, 1)
                block[0].bias.copy_((block[0].bias - old_mean) / old_std + mean)
    return fit_classifier(model, data)


def _output_of(module: nn.Module, model: Chain, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = module.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    model(images)
    hook.remove()
    return seen[0]


def fit_classifier(model: Chain, data: Data = DATA, ridge: float = 1.0) -> Chain:
    """The least-squares classifier on the features of the images to fit on."""
    images, labels = data.fit
    with torch.no_grad():
        x = model.features(images).double()
        mean = x.mean(0)
        x, y = x - mean, nn.functional.one_hot(labels, CLASSES).double() - 1 / CLASSES
        weight = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]), x.T @ y)
        model.fc.weight.copy_(weight.T)
        model.fc.bias.copy_(-(mean @ weight))
    return model


def rescale(before: nn.Sequential, after: nn.Sequential, channels: Sequence[int], factor: float) -> None:
    """Multiplies channels between two blocks by a factor; the float network computes what it did (ReLU between)."""
    index = torch.tensor(channels)
    with torch.no_grad():
        for tensor in before[-2].parameters():  # the BatchNorm where there is one, otherwise the convolution
            tensor[index] *= factor
        columns = after[0].weight if after[0].groups > 1 else after[0].weight.transpose(0, 1)
        columns[index] /= factor
