"""Small networks that take more than images: a state with another batch axis, a rate, integers."""

import torch
from torch import Tensor, nn


class VoiceActivity(nn.Module):
    """Frames (N, 12), a state (2, N, 8) and a sampling rate; scores (N, 2) and the new state come out."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.frame, self.state, self.out = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, state: Tensor, sr: int) -> tuple[Tensor, Tensor]:
        if sr not in (8000, 16000):
            raise ValueError("sr is 8000 or 16000")
        x = x * 0.5 if sr == 16000 else x
        h = torch.tanh(self.frame(x) + self.state(state[0]) + state[1])
        return self.out(h), torch.stack([h, h * 0.5])


class Pixels(nn.Module):
    """Images (N, 3, H, W), integers or floats."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.conv(x.float()).mean((2, 3)))
        return y


class TableLookUp(nn.Module):
    """Rows of a parameter, by tokens (N, 6) shifted by one."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.fc = nn.Parameter(torch.randn(21, 8)), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.fc(self.table[tokens + 1].mean(1))
        return y
