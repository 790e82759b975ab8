"""Prefill of tokens that no cache knows: this server, the same with ggml's kernels, and ik_llama.cpp in process.

    pip install ik-llama-cpp-python==0.1.5
    python tools/traffic-bench/prefill.py MODEL.gguf [ROUNDS [TOKENS]]

The servers get one request at a time and answer with one token. The order changes from round to round; the medians
are printed in tokens per second. Run `npm run build` before.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request

from ik_llama_cpp import IkLlama
from ik_llama_cpp.llama import make_batch_range

CLI = os.path.join(os.path.dirname(__file__), "../../dist/cli.js")


def start_server(model, port, n_ctx, **settings):
    environment = dict(os.environ, MODEL_PATH=model, PORT=str(port), PORT_HEALTH=str(port + 1), PARALLEL="1", CTX=str(n_ctx),
                       THREADS="2", AUTH_ENABLED="false", CACHE_RAM="0", **settings)
    process = subprocess.Popen(["node", CLI, "serve"], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://localhost:{port + 1}/ready")
            return process
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def ask(port, tokens):
    body = json.dumps({"prompt": tokens, "max_tokens": 1}).encode()
    request = urllib.request.Request(f"http://localhost:{port}/v1/completions", body, {"content-type": "application/json"})
    json.load(urllib.request.urlopen(request))


def main(model, n_rounds=7, n_tokens=512):
    n_ctx = n_tokens + 512
    servers = [start_server(model, 9200, n_ctx), start_server(model, 9210, n_ctx, CPU_KERNELS="off")]
    peer = IkLlama(model, n_ctx=n_ctx, n_threads=2, n_seq_max=1, verbose=False)

    def prefill_in_peer(tokens):
        peer._context.kv_cache_clear()
        if peer._context.decode(make_batch_range(tokens, pos_start=0, logits_last=True)) != 0:
            raise SystemExit("ik_llama.cpp could not compute the prompt")

    contestants = {
        "this server": lambda tokens: ask(9200, tokens),
        "ggml": lambda tokens: ask(9210, tokens),
        "ik_llama.cpp": prefill_in_peer,
    }
    seconds = {name: [] for name in contestants}
    # The first round warms up.
    for measured in [False] + [True] * n_rounds:
        tokens = [random.randrange(100, 30_000) for _ in range(n_tokens)]
        for name in random.sample(list(contestants), len(contestants)):
            begin = time.perf_counter()
            contestants[name](tokens)
            if measured:
                seconds[name].append(time.perf_counter() - begin)
    for name, values in seconds.items():
        print(f"{name}: {n_tokens / statistics.median(values):.0f} tokens/s")
    for server in servers:
        server.terminate()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
