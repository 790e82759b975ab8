"""Trains the model: a time budget, a progress line every 50 steps, checkpoints, `--resume`."""

from __future__ import annotations

import os

# PyTorch's libraries read these variables when they load. OpenBLAS 0.3.21 selects kernels for Sapphire Rapids that
# are five times slower than the SkylakeX kernels. Threads that spin while they wait starve each other.
PROCESSOR = open("/proc/cpuinfo", encoding="ascii").read()
if "avx512f" in PROCESSOR:
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import json
import random
import time
from pathlib import Path

import torch

import batches
from dialogues import evaluation, held_out_prompts, training_dialogue
from model import Llama, Shape
from optimizer import Optimizer
from render import segments
from tokenizer import SPECIAL, Tokenizer, frequent_words
from words import copied_words, whole_words

HAS_FAST_BF16 = "amx_bf16" in PROCESSOR or ("avx512_bf16" in PROCESSOR and torch.__version__ >= "2")
"""True if the processor multiplies bfloat16 faster than float32 and PyTorch uses this."""
TRAINING_SEED = 1
EVALUATION_SEED = 2
EVALUATION_ITEMS = 50
"""Questions per skill."""
WARM_UP_STEPS = 50
STABLE_UNTIL = 0.45
"""Share of the budget with a constant learning rate; the rate then falls linearly."""
LOWEST_RATE = 0.02


def rate_scale(step: int, progress: float) -> float:
    if progress > STABLE_UNTIL:
        left = (1 - progress) / (1 - STABLE_UNTIL)
        return LOWEST_RATE + (1 - LOWEST_RATE) * max(0.0, left)
    return min(1.0, (step + 1) / WARM_UP_STEPS)


def make_tokenizer(vocabulary: int) -> Tokenizer:
    rng = random.Random(f"tokenizer {TRAINING_SEED}")
    texts = ("".join(part for part, _ in segments(training_dialogue(rng))) for _ in range(20000))
    amount = vocabulary - 256 - len(SPECIAL)
    return Tokenizer(frequent_words(texts, amount, whole_words(), copied_words()))


def save(path: Path, content: dict[str, object]) -> None:
    """Replaces a checkpoint only after the new one is complete."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def train(folder: Path, minutes: float, slots: int, longest: int, resume: bool, start: Path | None) -> None:
    torch.manual_seed(TRAINING_SEED)
    torch.set_num_threads(2)
    folder.mkdir(parents=True, exist_ok=True)
    shape = Shape()
    tokenizer_path, checkpoint = folder / "tokenizer.json", folder / "checkpoint.pt"
    if tokenizer_path.exists():
        tokenizer = Tokenizer.load(tokenizer_path)
    else:
        tokenizer = make_tokenizer(shape.vocabulary)
        tokenizer.save(tokenizer_path)
    model = Llama(shape)
    arithmetic = torch.bfloat16 if HAS_FAST_BF16 else torch.float32
    optimizer = Optimizer(model, arithmetic)
    if hasattr(torch, "compile"):
        model.hidden = torch.compile(model.hidden, dynamic=True)  # type: ignore[method-assign]
    step, seen, elapsed, chunk_number, is_stable = 0, 0, 0.0, 0, True
    if resume and (start or checkpoint).exists():
        saved = torch.load(start or checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load(saved["optimizer"])
        step, seen, elapsed, chunk_number = (saved[key] for key in ("step", "seen", "elapsed", "chunk"))
        chunk_number += 1
        print(f"resumed at step {step}, {elapsed / 60:.1f} min", flush=True)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"parameters {parameters}, budget {minutes} min, {slots} slots a step, {arithmetic}", flush=True)
    held_out = held_out_prompts(evaluation(EVALUATION_SEED, EVALUATION_ITEMS))
    log = (folder / "loss.jsonl").open("a", encoding="utf-8")
    budget = minutes * 60
    last_time = shown_time = saved_time = time.monotonic()
    losses: list[float] = []
    shown_seen = seen
    for chunk_number, (tokens, trained) in batches.stream(
        tokenizer, TRAINING_SEED, chunk_number, slots, longest, held_out
    ):
        progress = elapsed / budget
        if progress >= 1:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_FAST_BF16):
            loss = model.loss(tokens, trained)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate_scale(step, progress))
        losses.append(float(loss.detach()))
        step += 1
        seen += tokens.numel()
        now = time.monotonic()
        elapsed += now - last_time
        last_time = now

        def content() -> dict[str, object]:
            return {
                "model": model.state_dict(), "optimizer": optimizer.state(), "step": step,
                "seen": seen, "elapsed": elapsed, "chunk": chunk_number,
            }  # fmt: skip

        if step % 50 == 0:
            line = {
                "step": step, "minutes": round(elapsed / 60, 2), "tokens": seen,
                "loss": round(sum(losses) / len(losses), 4),
                "tokensPerSecond": round((seen - shown_seen) / (now - shown_time)),
                "rate": round(rate_scale(step, progress), 3),
            }  # fmt: skip
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            losses, shown_time, shown_seen = [], now, seen
        if is_stable and progress > STABLE_UNTIL:
            is_stable = False
            save(folder / "stable.pt", content())
        if now - saved_time > 120:
            saved_time = now
            save(checkpoint, content())
    save(checkpoint, content())
    print(f"done: {step} steps, {seen} tokens, {elapsed / 60:.1f} min", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/train"), help="checkpoints and logs")
    parser.add_argument("--minutes", type=float, default=118, help="training time in all, resumed runs included")
    parser.add_argument("--slots", type=int, default=4096, help="tokens of a step, padding included")
    parser.add_argument("--longest", type=int, default=1536, help="longer dialogues are left out")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--start", type=Path, help="go on from this checkpoint instead")
    arguments = parser.parse_args()
    train(
        arguments.folder, arguments.minutes, arguments.slots, arguments.longest,
        arguments.resume or arguments.start is not None, arguments.start,
    )  # fmt: skip


if __name__ == "__main__":
    main()
