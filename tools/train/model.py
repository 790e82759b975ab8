"""The network: a llama of 2.9 million parameters, written for training on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 1024
    width: int = 192
    layers: int = 6
    heads: int = 6
    feed_forward: int = 512
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def rope_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, [length, head_width / 2]."""
    half = shape.head_width // 2
    frequencies = shape.rope_base ** (-torch.arange(half).float() / half)
    angles = torch.arange(length).float()[:, None] * frequencies[None, :]
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates pairs of the first and the second half of each head; the export reorders them."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


PLAIN_ATTENTION_UP_TO = 192
"""Lengths up to which two products and a softmax train faster than PyTorch's fused kernel: measured, 1.7 times at 192."""


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention over [batch, heads, length, head_width]."""
    length = query.shape[2]
    is_fused = hasattr(functional, "scaled_dot_product_attention")  # not in PyTorch 1.13
    if is_fused and length > PLAIN_ATTENTION_UP_TO:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    mask = torch.full((length, length), float("-inf")).triu(1)
    scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5 + mask
    return scores.softmax(dim=-1).to(value.dtype) @ value


class Norm(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return x * scale * self.weight


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.attention_norm, self.feed_forward_norm = Norm(shape), Norm(shape)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attention_out = nn.Linear(shape.width, shape.width, bias=False)
        self.gate_up = nn.Linear(shape.width, 2 * shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """`x` is [batch, length, width]."""
        batch, length, _ = x.shape
        heads, head_width = self.shape.heads, self.shape.head_width
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, heads, head_width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        mixed = _attend(query.to(value.dtype), key.to(value.dtype), value)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(x.shape))
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for layer in self.layers:
            for matrix in (layer.qkv, layer.gate_up):
                nn.init.normal_(matrix.weight, std=shape.width**-0.5)
            for matrix in (layer.attention_out, layer.down):
                nn.init.zeros_(matrix.weight)

    def hidden(self, tokens: Tensor) -> Tensor:
        """[batch, length] token ids to [batch, length, width]."""
        length = tokens.shape[1]
        cos, sin = rope_tables(self.shape, length)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def loss(self, tokens: Tensor, trained: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens marked in `trained`, each predicted from the preceding tokens."""
        wanted = trained[:, 1:]
        hidden = self.hidden(tokens[:, :-1])[wanted]
        return functional.cross_entropy(hidden @ self.embedding.weight.t(), tokens[:, 1:][wanted])

    @torch.no_grad()
    def greedy(self, ids: list[int], end: int, limit: int = 256) -> list[int]:
        """The most likely completion, token by token."""
        completion: list[int] = []
        while len(completion) < limit:
            hidden = self.hidden(torch.tensor([ids + completion]))[0, -1]
            token = int((self.embedding.weight @ hidden).argmax())
            completion.append(token)
            if token == end:
                break
        return completion
