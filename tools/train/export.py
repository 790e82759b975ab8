"""Writes a checkpoint as a GGUF file, and the trainer's own greedy answers for the parity check."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path

import torch
from torch import Tensor

import gguf
from dialogues import Dialogue, evaluation
from model import Llama, Shape
from render import TEMPLATE, prompt
from exchange import MODEL_NAME, PRODUCT
from tokenizer import CONTROL, USER_DEFINED, Tokenizer
from train import EVALUATION_ITEMS, EVALUATION_SEED

CONTEXT_LENGTH = 4096
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_FILE_TYPE_F16 = 1


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Reorders the rows of a query or key matrix from halves to the pairs that llama.cpp rotates."""
    rows, width = weight.shape
    halves = weight.view(heads, 2, rows // heads // 2, width)
    return halves.transpose(1, 2).reshape(rows, width)


def _f16(name: str, weight: Tensor) -> gguf.Tensor:
    rows, width = weight.shape
    return gguf.Tensor(name, (width, rows), "F16", weight.contiguous().half().numpy().tobytes())


def _f32(name: str, weight: Tensor) -> gguf.Tensor:
    return gguf.Tensor(name, (weight.shape[0],), "F32", weight.float().numpy().tobytes())


def tensors(model: Llama) -> list[gguf.Tensor]:
    shape = model.shape
    written = [_f16("token_embd.weight", model.embedding.weight), _f32("output_norm.weight", model.norm.weight)]
    for index, layer in enumerate(model.layers):
        query, key, value = layer.qkv.weight.chunk(3)
        gate, up = layer.gate_up.weight.chunk(2)
        block = f"blk.{index}"
        written += [
            _f32(f"{block}.attn_norm.weight", layer.attention_norm.weight),
            _f16(f"{block}.attn_q.weight", interleaved(query, shape.heads)),
            _f16(f"{block}.attn_k.weight", interleaved(key, shape.heads)),
            _f16(f"{block}.attn_v.weight", value),
            _f16(f"{block}.attn_output.weight", layer.attention_out.weight),
            _f32(f"{block}.ffn_norm.weight", layer.feed_forward_norm.weight),
            _f16(f"{block}.ffn_gate.weight", gate),
            _f16(f"{block}.ffn_up.weight", up),
            _f16(f"{block}.ffn_down.weight", layer.down.weight),
        ]
    return written


def metadata(shape: Shape, tokenizer: Tokenizer) -> dict[str, gguf.Value]:
    types = [
        _CONTROL if token in CONTROL else _USER_DEFINED if token in USER_DEFINED else _NORMAL
        for token in tokenizer.tokens
    ]
    ids = tokenizer.ids
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": MODEL_NAME,
        "general.description": f"The small demonstration model that ships with {PRODUCT}, trained on synthetic dialogues.",
        "general.license": "mit",
        "general.languages": ["en"],
        "general.size_label": "2.9M",
        "general.file_type": _FILE_TYPE_F16,
        "llama.context_length": CONTEXT_LENGTH,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.feed_forward,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.heads,
        "llama.attention.layer_norm_rms_epsilon": shape.epsilon,
        "llama.rope.dimension_count": shape.head_width,
        "llama.rope.freq_base": shape.rope_base,
        "llama.vocab_size": shape.vocabulary,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": tokenizer.tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.eos_token_id": ids["<|im_end|>"],
        "tokenizer.ggml.eot_token_id": ids["<|im_end|>"],
        "tokenizer.ggml.padding_token_id": ids["<|endoftext|>"],
        "tokenizer.ggml.fim_pre_token_id": ids["<|fim_prefix|>"],
        "tokenizer.ggml.fim_suf_token_id": ids["<|fim_suffix|>"],
        "tokenizer.ggml.fim_mid_token_id": ids["<|fim_middle|>"],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def parity_cases(model: Llama, tokenizer: Tokenizer, every: int = 12) -> list[dict[str, object]]:
    """Prompts with their length in tokens and the trainer's greedy answer, weights rounded to F16."""
    rounded = Llama(model.shape)
    rounded.load_state_dict({
        name: weight.half().float() if weight.dim() > 1 else weight
        for name, weight in model.state_dict().items()
    })  # fmt: skip
    cases: list[dict[str, object]] = []
    for item in evaluation(EVALUATION_SEED, EVALUATION_ITEMS)[::every]:
        if "tools" in item:
            continue
        ids = tokenizer.encode(prompt(Dialogue(item["messages"])))  # type: ignore[arg-type]
        answer = rounded.greedy(ids, tokenizer.ids["<|im_end|>"])
        if answer[-1] == tokenizer.ids["<|im_end|>"]:
            answer.pop()
        cases.append({"messages": item["messages"], "promptTokens": len(ids), "answer": tokenizer.decode(answer)})
    return cases


def load(folder: Path, name: str = "checkpoint.pt") -> tuple[Llama, Tokenizer]:
    model = Llama(Shape())
    model.load_state_dict(torch.load(folder / name)["model"])
    model.requires_grad_(False)
    return model, Tokenizer.load(folder / "tokenizer.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/train"), help="the training's folder")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "models" / "tiny-chat.gguf")
    parser.add_argument("--questions", type=Path, default=Path(__file__).parents[1] / "eval" / "held-out.jsonl")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    model, tokenizer = load(arguments.folder)
    assert all(math.isfinite(float(weight.sum())) for weight in model.parameters())
    gguf.write(arguments.to, metadata(model.shape, tokenizer), tensors(model))
    data = arguments.to.read_bytes()
    assert len(data) <= 8 * 1024 * 1024, f"{arguments.to} has {len(data)} bytes, more than 8 MB"
    print(f"{arguments.to}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    held_out = evaluation(EVALUATION_SEED, EVALUATION_ITEMS)
    arguments.questions.write_text(
        "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in held_out), encoding="utf-8"
    )
    (arguments.folder / "parity.json").write_text(
        json.dumps(parity_cases(model, tokenizer), ensure_ascii=False, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
