"""Networks of random operations on images, each drawn from one number: what nobody would think of testing."""

import math
from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[[Tensor], Tensor]
Join = Callable[[Tensor, Tensor], Tensor]


class RandomGraph(nn.Module):
    """A few operations, each on a tensor that an earlier one gave; every tensor that nobody reads is an output.

    Args:
        seed: of everything: operations, their settings, weights. size: operations.
    """

    def __init__(self, seed: int, size: int = 8) -> None:
        super().__init__()
        self._random, self.modules_of_steps = Random(seed), nn.ModuleList()
        torch.manual_seed(seed)
        shape = (self._random.choice((1, 3, 4, 8, 13)), self._random.randint(6, 13), self._random.randint(6, 13))
        self.shape: tuple[int, ...] = shape
        self.program: list[tuple[tuple[int, ...], Callable[..., Tensor]]] = []
        samples = [self.images(2)]
        while len(self.program) < size:
            places, function = self._drawn(samples)
            try:
                with torch.no_grad():
                    made = function(*(samples[place] for place in places))
            except (RuntimeError, IndexError):  # the tensor is too small for it
                continue
            if made.numel() > 40_000 or made.numel() < 2 or not bool(made.isfinite().all()) or float(made.std()) < 1e-3:
                continue
            self.program.append((places, function))
            samples.append(made)
        read = {place for places, _ in self.program for place in places}
        self.outputs = [place for place in range(1, len(samples)) if place not in read]

    def images(self, count: int) -> Tensor:
        mean, spread = self._random.choice((0.0, 0.0, 0.6, -0.4)), self._random.choice((0.3, 1.0, 4.0))
        return torch.randn(count, *self.shape) * spread + mean

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        values = [x]
        for places, function in self.program:
            values.append(function(*(values[place] for place in places)))
        return tuple(values[place] for place in self.outputs)

    def _drawn(self, samples: Sequence[Tensor]) -> tuple[tuple[int, ...], Callable[..., Tensor]]:
        random = self._random
        place = random.choice((len(samples) - 1, random.randrange(len(samples))))
        x = samples[place]
        alike = [other for other, y in enumerate(samples) if y.shape == x.shape]
        if random.random() < 0.25:
            other = random.choice(alike)
            joins: list[Join] = [torch.add, torch.mul, torch.sub, torch.maximum, torch.minimum]
            joins += [lambda a, b: torch.cat([a, b], 1), lambda a, b: a / (b.abs() + 1.0)]
            return (place, other), random.choice(joins)
        return (place,), self._of_images(x) if x.ndim == 4 else self._of_rows(x)

    def _module(self, module: nn.Module) -> Step:
        module.eval()
        self.modules_of_steps.append(module)
        scale = math.exp(self._random.uniform(-1.5, 1.0))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(scale)
        clamps: list[Step] = [lambda y: y, torch.relu, F.relu6, lambda y: y.clamp(-0.7, 1.3)]
        clamp = self._random.choice(clamps)
        return lambda x: clamp(module(x))

    def _of_images(self, x: Tensor) -> Step:
        random, channels = self._random, int(x.shape[1])
        kind = random.choice(("conv", "conv", "values", "values", "shape", "pool", "resize", "rows"))
        if kind == "conv":
            kernel, stride, dilation = random.choice((1, 2, 3, 5)), random.choice((1, 1, 2)), random.choice((1, 1, 2))
            groups = random.choice([1, 1, channels, *(g for g in (2, 4) if channels % g == 0)])
            given = groups * random.randint(1, 3) if groups > 1 else random.randint(1, 17)
            padding, bias = random.randint(0, kernel // 2), random.random() < 0.8
            return self._module(nn.Conv2d(channels, given, kernel, stride, padding, dilation, groups, bias))
        if kind == "pool":
            kernel, stride = random.choice((2, 3)), random.choice((1, 2, 3))
            counts, ceils = random.random() < 0.5, random.random() < 0.3
            pools: list[Step] = [
                lambda y: F.avg_pool2d(y, kernel, stride, random_padding, ceils, counts),
                lambda y: F.max_pool2d(y, kernel, stride, random_padding, 1, ceils),
                lambda y: F.adaptive_avg_pool2d(y, 1),
                lambda y: y.mean((2, 3)),
                lambda y: y.mean(1, keepdim=True),
                lambda y: y.mean(-1),
                lambda y: y.amax((2, 3)),
            ]
            random_padding = random.choice((0, 1))
            return random.choice(pools)
        if kind == "resize":
            size = random.randint(3, 20), random.randint(3, 20)
            factor = random.choice((2.0, 1.5))
            resizes: list[Step] = [
                lambda y: F.interpolate(y, size=size, mode="bilinear"),
                lambda y: F.interpolate(y, size=size, mode="bilinear", align_corners=True),
                lambda y: F.interpolate(y, scale_factor=factor, mode="bilinear"),
                lambda y: F.interpolate(y, scale_factor=2.0),
            ]
            return random.choice(resizes)
        if kind == "shape":
            pad, value = [random.randint(0, 2) for _ in range(4)], random.choice((0.0, 0.37))
            shapes: list[Step] = [
                lambda y: F.pad(y, pad, value=value),
                lambda y: F.pad(y, [1, 1, 1, 1], mode="reflect"),
                lambda y: y.transpose(2, 3),
                lambda y: y[:, :, 1:, ::2],
                lambda y: y.flatten(2),
                lambda y: y.flatten(1),
            ]
            return random.choice(shapes)
        if kind == "rows":
            constant = torch.randn(channels, 1, 1) * math.exp(random.uniform(-2.0, 1.0))
            self.register_buffer(f"constant{len(self.program)}", constant)
            rows: list[Step] = [
                lambda y: y + constant,
                lambda y: y * constant,
                lambda y: y * torch.sigmoid(y.mean((2, 3), keepdim=True)),
                lambda y: y + y.mean((2, 3), keepdim=True),
                lambda y: torch.softmax(y, 1),
            ]
            return random.choice(rows)
        return self._of_values()

    def _of_rows(self, x: Tensor) -> Step:
        random, last = self._random, int(x.shape[-1])
        kind = random.choice(("linear", "values", "softmax", "norm", "product", "mean"))
        if kind == "linear":
            return self._module(nn.Linear(last, random.randint(2, 21), bias=random.random() < 0.8))
        if kind == "softmax":
            return lambda y: torch.softmax(y, -1)
        if kind == "norm":
            return self._module(nn.LayerNorm(last))
        if kind == "product" and x.ndim == 3:
            return lambda y: y @ y.transpose(1, 2)
        if kind == "mean":
            return lambda y: y.mean(-1, keepdim=True) if y.ndim == 2 else y.mean(1)
        return self._of_values()

    def _of_values(self) -> Step:
        number = self._random.choice((0.3, -1.7, 2.0, 1.0 / 3.0))
        values: list[Step] = [
            *(torch.sigmoid, torch.tanh, torch.erf, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.elu, F.softplus),
            *(torch.abs, torch.neg, torch.square, torch.exp, torch.sin, torch.relu, F.relu6),
            lambda y: F.gelu(y, approximate="tanh"),
            lambda y: F.leaky_relu(y, 0.13),
            lambda y: torch.sqrt(y.abs() + 0.1),
            lambda y: torch.log(y.abs() + 0.5),
            lambda y: y + number,
            lambda y: number - y,
            lambda y: y * number,
            lambda y: y / number,
            lambda y: y**3,
            lambda y: (y.abs() + 0.2) ** 0.7,
            lambda y: y.clamp(-0.5, 0.9),
            lambda y: 1.0 / (y.abs() + 0.5),
        ]
        return self._random.choice(values)
