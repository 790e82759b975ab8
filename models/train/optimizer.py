"""Muon for the matrices of the layers, AdamW for embeddings and norms."""

from __future__ import annotations

import torch
from torch import Tensor

from model import Llama


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with equal singular values, about, by Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.t()
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.t() if tall else x


class Muon:
    """Momentum whose update is orthogonalised. Stacked matrices are treated one by one."""

    def __init__(self, stacked: list[tuple[Tensor, int]], rate: float, momentum: float = 0.95) -> None:
        self.stacked, self.rate, self.momentum = stacked, rate, momentum
        self.buffers = [torch.zeros_like(weight) for weight, _ in stacked]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        for (weight, parts), buffer in zip(self.stacked, self.buffers):
            gradient = weight.grad
            assert gradient is not None
            buffer.lerp_(gradient, 1 - self.momentum)
            update = gradient.lerp(buffer, self.momentum)
            for target, part in zip(weight.chunk(parts), update.chunk(parts)):
                factor = max(1.0, part.shape[0] / part.shape[1]) ** 0.5
                target.mul_(1 - scale * self.rate * 0.01)
                target.add_(orthogonalised(part), alpha=-scale * self.rate * factor)
            weight.grad = None


class Optimizer:
    """Both, with one learning-rate scale."""

    def __init__(self, model: Llama, muon_rate: float = 0.02, adam_rate: float = 4e-3) -> None:
        stacked: list[tuple[Tensor, int]] = []
        for layer in model.layers:
            stacked += [(layer.qkv.weight, 3), (layer.attention_out.weight, 1)]
            stacked += [(layer.gate_up.weight, 2), (layer.down.weight, 1)]
        matrices = {id(weight) for weight, _ in stacked}
        others = [weight for weight in model.parameters() if id(weight) not in matrices]
        self.muon = Muon(stacked, muon_rate)
        self.adam_rate = adam_rate
        self.adam = torch.optim.AdamW(others, lr=adam_rate, betas=(0.9, 0.95), weight_decay=0.0)

    def step(self, scale: float) -> None:
        for group in self.adam.param_groups:
            group["lr"] = self.adam_rate * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.muon.step(scale)

    def state(self) -> dict[str, object]:
        return {"muon": self.muon.buffers, "adam": self.adam.state_dict()}

    def load(self, state: dict[str, object]) -> None:
        for buffer, saved in zip(self.muon.buffers, state["muon"]):  # type: ignore[call-overload]
            buffer.copy_(saved)
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]
