"""Small networks whose weights or biases are computed in `forward`, and the plain networks that they equal."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SummedBias(nn.Module):
    """Two biases added; vectors (N, 4), 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.extra = nn.Parameter(3.0 * torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(F.linear(x, self.a.weight, self.a.bias + self.extra).tanh())
        return y

    def stored(self) -> nn.Module:
        plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
        with torch.no_grad():
            plain[0].weight.copy_(self.a.weight)
            plain[0].bias.copy_(self.a.bias + self.extra)
            plain[2].load_state_dict(self.head.state_dict())
        return plain


class JoinedBiases(nn.Module):
    """Weights and biases of two layers joined into one; vectors (N, 4), 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 3)
        with torch.no_grad():
            self.k.bias.add_(2.0)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = torch.cat([self.q.weight, self.k.weight]), torch.cat([self.q.bias, self.k.bias])
        y: Tensor = self.head(F.linear(x, weight, bias).tanh())
        return y

    def stored(self) -> nn.Module:
        plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
        with torch.no_grad():
            plain[0].weight.copy_(torch.cat([self.q.weight, self.k.weight]))
            plain[0].bias.copy_(torch.cat([self.q.bias, self.k.bias]))
            plain[2].load_state_dict(self.head.state_dict())
        return plain


class Standardized(nn.Module):
    """A convolution with standardized weights, as BiT has them; images (N, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def standardized(self) -> Tensor:
        weight = self.conv.weight
        mean = weight.mean((1, 2, 3), keepdim=True)
        return (weight - mean) / (weight.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-10).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.standardized(), self.conv.bias).relu()


class UnrolledRecurrence(nn.Module):
    """An Elman network step by step, `b_ih + b_hh` in each; sequences (N, T, 8), 5 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.w_ih, self.w_hh = nn.Parameter(0.4 * torch.randn(16, 8)), nn.Parameter(0.2 * torch.randn(16, 16))
        self.b_ih, self.b_hh = nn.Parameter(torch.randn(16)), nn.Parameter(torch.randn(16))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(x.shape[0], 16)
        for step in range(x.shape[1]):
            gates = F.linear(x[:, step], self.w_ih, self.b_ih + self.b_hh)
            state = torch.tanh(gates + F.linear(state, self.w_hh))
        y: Tensor = self.head(state)
        return y


class PlainRecurrence(nn.Module):
    """torch's own recurrence with the weights of another."""

    def __init__(self, source: UnrolledRecurrence) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(8, 16, batch_first=True), source.head
        with torch.no_grad():
            for name in ("w_ih", "w_hh", "b_ih", "b_hh"):
                long = {"w": "weight", "b": "bias"}[name[0]] + name[1:] + "_l0"
                getattr(self.rnn, long).copy_(getattr(source, name))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x)[0][:, -1])
        return y


class HyperNetwork(nn.Module):
    """Biases of a convolution and of a linear layer that depend on the batch; images (N, 3, 6, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        shift = 4.0 * x.abs().mean((0, 2, 3)).sum() * torch.arange(8.0)
        y = F.conv2d(x, self.conv.weight, self.conv.bias + shift).relu()
        z = y.mean((2, 3))
        return F.linear(z, self.fc.weight, self.fc.bias + z.mean(0)[:5])
