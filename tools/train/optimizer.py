"""Muon for the matrices of the layers, AdamW for embeddings and norms."""

from __future__ import annotations

import torch
from torch import Tensor

from model import Llama


def orthogonalised(stack: Tensor, steps: int = 5) -> Tensor:
    """Approximates, for each matrix [rows, columns >= rows], the nearest one with equal singular values (Newton-Schulz)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon:
    """Momentum whose update is orthogonalised. The matrices of a stacked weight are updated one by one."""

    def __init__(
        self, weights: list[tuple[Tensor, int]], rate: float, arithmetic: torch.dtype, momentum: float = 0.95
    ) -> None:
        self.weights, self.rate, self.arithmetic, self.momentum = weights, rate, arithmetic, momentum
        self.buffers = [torch.zeros_like(weight) for weight, _ in weights]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        of_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for (weight, parts), buffer in zip(self.weights, self.buffers):
            gradient = weight.grad
            assert gradient is not None
            buffer.lerp_(gradient, 1 - self.momentum)
            update = gradient.lerp(buffer, self.momentum)
            weight.grad = None
            weight.mul_(1 - scale * self.rate * 0.01)
            for matrix, direction in zip(weight.chunk(parts), update.chunk(parts)):
                if matrix.shape[0] > matrix.shape[1]:
                    matrix, direction = matrix.t(), direction.t()
                of_shape.setdefault(tuple(matrix.shape), []).append((matrix, direction))
        for matrices in of_shape.values():
            stack = torch.stack([direction for _, direction in matrices])
            for (matrix, _), direction in zip(matrices, orthogonalised(stack.to(self.arithmetic))):
                is_transposed = matrix.stride(0) == 1
                factor = (matrix.shape[1] / matrix.shape[0]) ** 0.5 if is_transposed else 1.0
                matrix.add_(direction, alpha=-scale * self.rate * factor)


class Optimizer:
    """Both optimizers, with one learning-rate scale."""

    def __init__(
        self, model: Llama, arithmetic: torch.dtype, muon_rate: float = 0.02, adam_rate: float = 4e-3
    ) -> None:
        """`arithmetic` is the number type of the orthogonalisation, which tolerates rounding."""
        matrices: list[tuple[Tensor, int]] = []
        for layer in model.layers:
            matrices += [(layer.qkv.weight, 3), (layer.attention_out.weight, 1)]
            matrices += [(layer.gate_up.weight, 2), (layer.down.weight, 1)]
        of_muon = {id(weight) for weight, _ in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in of_muon]
        self.muon = Muon(matrices, muon_rate, arithmetic)
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
