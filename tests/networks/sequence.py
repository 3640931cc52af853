"""Small networks on sequences: a vision transformer in two ways of writing attention, LSTM and GRU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention from one joint projection and `F.scaled_dot_product_attention`; tokens (N, L, C)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.projection(x.transpose(1, 2).reshape(n, length, channels))


class MultiHead(nn.Module):
    """Self-attention by `nn.MultiheadAttention`; tokens (N, L, C)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return y


class WrittenOut(nn.Module):
    """Self-attention written out as two matrix products around a softmax; tokens (N, L, C)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))
        weights = torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class TransformerBlock(nn.Module):
    """LayerNorm, attention, skip; LayerNorm, two linear layers with GELU, skip."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class VisionTransformer(nn.Module):
    """Images (N, 3, 16, 16) as sixteen patches, a class token and position embeddings; one block.

    Args:
        attention: `Attention`, `MultiHead` or `WrittenOut`.
    """

    def __init__(self, attention: type[nn.Module]) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, 16))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(TransformerBlock(16, attention(16, 2)))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), tokens], dim=1) + self.positions
        y: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return y


class LstmNet(nn.Module):
    """Sequences (N, 3, 6) through a linear layer, two LSTM layers and a classifier of the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(torch.tanh(self.project(x)))
        y: Tensor = self.fc(steps[:, -1])
        return y


class GruNet(nn.Module):
    """Token numbers (N, 3), integers, through an embedding, a bidirectional GRU and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.gru = nn.GRU(8, 10, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(20, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        _, last = self.gru(self.embedding(tokens))
        y: Tensor = self.fc(torch.cat((last[0], last[1]), dim=-1))
        return y
