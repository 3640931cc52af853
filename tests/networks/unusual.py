"""Small networks that do what capture can get wrong: branches, state, randomness, other dtypes, hooks, nesting.

Each takes images (N, 3, 8, 8) unless it says otherwise.
"""

import random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint


class Base(nn.Module):
    """A convolution and a linear layer (8 features, 5 classes) to build upon."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)

    def head(self, y: Tensor) -> Tensor:
        z: Tensor = self.fc(y.mean((2, 3)))
        return z


class ValueBranch(Base):
    """Negates the features of a batch whose mean is above zero."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.mean() > 0.0:
            y = -3.0 * y
        return self.head(y)


class IntOfTensor(Base):
    """Rolls the image by a number of pixels read from it."""

    def forward(self, x: Tensor) -> Tensor:
        shift = int(x[0, 0, 0, 0].abs() * 10.0) % 8
        return self.head(torch.roll(self.conv(x), shift, 3)[..., :3])


class FloatOfTensor(Base):
    """Divides by the largest value as a Python number."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x / float(x.abs().max())))


class ItemOfTensor(Base):
    """Multiplies by a number taken out of the batch, one of each sign at times."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x)) * x.sum().item()


class BatchSizeBranch(Base):
    """Takes another way where the batch is larger than four."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.shape[0] > 4:
            y = y * 10.0
        return self.head(y)


class SizeOneBranch(Base):
    """Leaves out a layer for a batch of one, as some BatchNorm wrappers do."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head(y if x.shape[0] == 1 else 2.0 * y)


class ShapeBranch(Base):
    """Pools only images that are larger than six pixels."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head(F.avg_pool2d(y, 2) if x.shape[-1] > 6 else y)


class DataDependentLoop(Base):
    """Halves the features until their largest value is below a bound."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        while y.abs().max() > 0.5:
            y = y * 0.5
        return self.head(y)


class NumpyInside(Base):
    """Leaves torch for numpy and comes back."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.from_numpy(np.tanh(x.detach().numpy()))
        return self.head(self.conv(y))


class PythonRandom(Base):
    """Scales by a Python random number."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x)) * random.random()


class NumpyRandom(Base):
    """Scales by a number of numpy's global generator."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x)) * float(np.random.rand())  # noqa: NPY002 - what users do


class TorchRandom(Base):
    """Adds noise in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x) + 0.5 * torch.randn_like(x[:, :1]))


class DropoutLeftOn(Base):
    """A functional dropout that does not look at the mode."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.conv(x), 0.5))


class WritesItsInput(Base):
    """Normalizes the caller's tensor in place."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(0.5).add_(0.25)
        return self.head(self.conv(x))


class WritesThroughViews(Base):
    """Writes to slices of the features, through a view of a view and by index."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y[:, :2, 1:3].mul_(2.0)
        y.view(y.shape[0], 8, -1)[:, 3] = 0.125
        y.transpose(2, 3)[:, 4:6, 0].clamp_(min=0.0)
        return self.head(y)


class CountsCalls(Base):
    """Counts its calls in a buffer that nothing reads, and keeps the last features."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.last: Tensor | None = None
        self.history: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.conv(x)
        self.last = y.detach()
        self.history.append(1)
        return self.head(y)


class CarriesState(Base):
    """Adds what the call before left in a buffer: the result depends on the calls before."""

    state: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x) + self.state.view(1, 8, 1, 1)
        self.state.mul_(0.5).add_(y.mean((0, 2, 3)))
        return self.head(y)


class WritesItsWeights(Base):
    """Normalizes its own weights at each call."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.conv.weight.div_(self.conv.weight.norm())
        return self.head(self.conv(x))


class KeepsShape(Base):
    """Builds its grid once per input shape, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.shape: Any = None
        self.cells: Any = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.shape != y.shape:
            self.cells, self.shape = torch.arange(float(y.shape[-1])), y.shape
        n, c, h, w = (y + self.cells).shape
        return self.fc((y + self.cells).view(n, c, h * w).mean(2))


class AutocastInside(Base):
    """A part in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.conv(x)
        return self.head(y.float())


class AutocastOffInside(Base):
    """Turns autocast off, which is off already: the usual guard around a sensitive part."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            y = self.conv(x.float())
        return self.head(y)


class NoGradInside(Base):
    """A frozen backbone under no_grad."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.conv(x)
        return self.head(y)


class Conditional(Base):
    """`torch.cond` on the values of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z: Tensor = torch.cond(x.mean() > 0.0, lambda t: -3.0 * t, lambda t: t.tanh(), (y,))
        return self.head(z)


class Vmapped(Base):
    """A function mapped over the samples."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.vmap(lambda one: one - one.mean((1, 2), keepdim=True))(self.conv(x))
        return self.fc(torch.vmap(lambda one: one.amax((1, 2)))(y))


class Asserts(Base):
    """Checks that export leaves in the graph."""

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(bool(x.ndim == 4), "images")
        torch._assert_async(torch.isfinite(x).all())
        assert x.shape[1] == 3
        return self.head(self.conv(x))


class ItemChecked(Base):
    """A size that is read from the data and checked."""

    def forward(self, x: Tensor) -> Tensor:
        count = (x[:, 0] > 1e9).sum().item()
        torch._check(count >= 0)
        return self.head(self.conv(x)) + count


class KeywordInputs(Base):
    """Images and a gate (N, 8), by keyword, the gate with a default."""

    def forward(self, *, image: Tensor, gate: Tensor | None = None) -> Tensor:
        y = self.conv(image)
        return self.head(y if gate is None else y * gate[:, :, None, None])


class DictOutput(Base):
    """A dictionary, with a nested tuple, a None and a number among its values."""

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.conv(x)
        return {"logits": self.head(y), "aux": (y, None), "loss": None, "scale": 2}


class Result(NamedTuple):
    """A named tuple as an output."""

    logits: Tensor
    features: tuple[Tensor, list[Tensor | None]]


class NestedOutput(Base):
    """Tuples in lists in a named tuple."""

    def forward(self, x: Tensor) -> Result:
        y = self.conv(x)
        return Result(self.head(y), (y, [y.mean((2, 3)), None]))


class TiedWeights(nn.Module):
    """An autoencoder with one weight in both directions; vectors (N, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(12, 6)
        self.up = nn.Linear(6, 12)
        self.again = nn.Linear(12, 6)
        self.again.weight = self.down.weight

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(self.down(x).relu(), self.down.weight.t(), self.up.bias)
        return self.again(y)


class ComplexNumbers(Base):
    """A spectrum in the middle."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(self.conv(x))
        return self.head(torch.fft.irfft2(spectrum * torch.polar(torch.tensor(0.5), torch.tensor(0.3)), s=(8, 8)))


class ComplexOutput(Base):
    """A complex tensor goes out beside a real one."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        return self.head(y), torch.fft.rfft2(y)


class DoublePart(Base):
    """A part in float64."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).double()
        return self.head((y - y.mean((2, 3), keepdim=True)).float())


class StrideZero(Base):
    """One-element tensors of stride 0, as `expand` leaves them, and a scalar parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.shift = nn.Parameter(torch.tensor([0.25]).expand(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x * self.gain.expand(1, 1, 1, 1)) + self.shift.expand(8)[None, :, None, None])


class SharedTwice(Base):
    """One block called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.block(self.conv(x))))


class Hooked(Base):
    """Forward hooks that change what goes in and what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv.register_forward_pre_hook(lambda module, args: (args[0] * 0.5,))
        self.conv.register_forward_hook(lambda module, args, output: output.relu() + 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x))


class Normed(Base):
    """Weight norm, spectral norm, an orthogonal matrix."""

    def __init__(self) -> None:
        super().__init__()
        parametrizations.weight_norm(self.conv)
        self.mix = parametrizations.spectral_norm(nn.Linear(8, 8))
        self.turn = parametrizations.orthogonal(nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.turn(self.mix(self.conv(x).mean((2, 3)))))
        return y


class Checkpointed(Base):
    """Activation checkpointing, as training code leaves it in."""

    def forward(self, x: Tensor) -> Tensor:
        y = checkpoint(self.conv, x, use_reentrant=False)
        return self.head(y)


class CallsTrain(Base):
    """Puts its BatchNorm back to training mode in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        self.bn.train()
        return self.head(self.bn(self.conv(x)))


class SoftmaxOverBatch(Base):
    """Attention between the samples of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.conv(x))
        return y * y.softmax(0)


class BatchStatistics(Base):
    """A BatchNorm without running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(8, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bn(self.conv(x)))


class DataDependentShape(Base):
    """Keeps the pixels above zero, however many there are."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        kept = y[y > 0.0]
        return self.head(y) + kept.mean()


class FrozenBatch(Base):
    """Reshapes with the batch size as a Python number, as detectors do with their anchors."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        n = int(torch.tensor(y.shape[0]).item()) if torch.jit.is_tracing() else y.shape[0]
        grids = [torch.full((1, 8, 1), float(i)) for i in range(n)]
        return self.fc((y.flatten(2) + torch.cat(grids)[:n] * 0.0).mean(2))


class Lazy(nn.Module):
    """A lazy layer that has seen its input already; vectors (N, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 5))
        self.body(torch.zeros(1, 12))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y


class Lookups(nn.Module):
    """Tokens (N, 6) int64 and their lengths (N,) int64, with a mask of what is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8, padding_idx=0)
        self.fc = nn.Linear(8, 5)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(tokens.shape[1])[None] < lengths[:, None]
        y = self.table(tokens) * mask[:, :, None]
        z: Tensor = self.fc(y.sum(1) / lengths[:, None])
        return z


class Bag(nn.Module):
    """An embedding bag over tokens (N, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(20, 8)
        self.fc = nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.fc(self.bag(tokens))
        return y


class Einsum(Base):
    """Contractions, outer products and a cumulative sum."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        gram = torch.einsum("nchw,ndhw->ncd", y, y) / 64.0
        return self.fc(gram.cumsum(1).diagonal(dim1=1, dim2=2))


class Unfolded(Base):
    """Patches by unfold, `as_strided` and back."""

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, 2, stride=2)
        y = F.fold(patches * 0.5, (8, 8), 2, stride=2)
        return self.head(self.conv(y.contiguous()))


class ListState(Base):
    """Keeps features in a Python list inside one call."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.kept.clear()
        for _ in range(2):
            self.kept.append(self.conv(x))
        return self.head(torch.stack(self.kept).sum(0))


class RareBranch(Base):
    """Takes another way for a batch that holds a sample far out: most batches do not."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.amax() > 100.0:
            y = y * 0.0
        return self.head(y)


class ScriptedPart(Base):
    """A part that is TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.script(nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.part(self.conv(x)))


class OldWeightNorm(Base):
    """Weight norm as a hook, whose weight is no leaf."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.weight_norm(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x))
