"""The servers that every client is tried on. See ../README.md."""

import json
import os
import secrets
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

import pytest

# Nothing is fetched while the tests run.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

ROOT = Path(__file__).parents[3]
NODE = os.environ.get("NODE", "node")
PATIENCE = 60 * float(os.environ.get("TEST_PATIENCE") or 1)

MODEL = "served"
GOOD_KEY = "sk-Q7yTn0x5oPz2mVb8KdLcRw"
SLOW_KEYS = [f"sk-{secrets.token_hex(12)}" for _ in range(10)]
"""One request a minute each."""
UNKNOWN_KEY = "sk-M4rDv7UoBg0YlPc5EjSxTh"
LONG_PROMPT = "word " * 20_000
"""More tokens than the context of the bundled model."""


@dataclass(frozen=True)
class Server:
    url: str
    is_trained: bool
    """The model knows the tools of these tests, and the tests may expect its words."""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def wait_until(self, **wanted: int) -> None:
        """Waits until the queue of `/health` is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with urllib.request.urlopen(f"{self.url}/health") as reply:
                queue = json.load(reply)["queue"]
            if all(queue[name] == count for name, count in wanted.items()):
                return
            assert time.monotonic() < deadline, queue
            time.sleep(0.05)

    def wait_until_idle(self) -> None:
        """Waits until no request has a slot or waits for one."""
        self.wait_until(active=0, waiting=0)


def start(flags: list[str], is_trained: bool) -> Iterator[Server]:
    """Runs the built command on a free port until the tests that use it are over."""
    command = [NODE, str(ROOT / "dist/cli.js"), "serve", "--host", "127.0.0.1"]
    command += ["--port", "0", "--port-health", "0", "--gpu", "off", "--threads", "1"]
    command += ["--model-alias", MODEL, *flags]
    env = {"PATH": os.environ["PATH"], "LOG_FORMAT": "json"}
    process = subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    lines: Queue[dict] = Queue()
    log: list[str] = []

    def read() -> None:
        for line in process.stderr:
            log.append(line.decode())
            try:
                lines.put(json.loads(line))
            except ValueError:
                pass

    threading.Thread(target=read, daemon=True).start()

    def line(message: str) -> dict:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found = lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"no line '{message}':\n{''.join(log)}") from None
            if found.get("msg") == message:
                return found

    try:
        port = line("listening")["port"]
        line("ready")
        yield Server(f"http://127.0.0.1:{port}", is_trained)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def warm(send: Callable[[], object]) -> None:
    """Sends a request whose reply is to be compared. From then on its prompt is cached, so that the
    replies to compare are computed alike: beside a processor's own kernels, a prompt that is
    computed rounds otherwise than a cached one."""
    send()


def served_models() -> list:
    """The bundled model, and a model that was made by others where TEST_CHAT_MODEL names one."""
    path = os.environ.get("TEST_CHAT_MODEL")
    models = [pytest.param(None, id="bundled")]
    return models + ([pytest.param(path, id="TEST_CHAT_MODEL")] if path else [])


@pytest.fixture(scope="session", params=served_models())
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    path = request.param
    flags = ["--no-auth-enabled"] + (["--model-path", path] if path else [])
    yield from start(flags, is_trained=path is None)


@pytest.fixture(scope="session")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with keys and one slot, which refuses the second request that would wait for it."""
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    slow = "".join(f"slow-{n}:{key}:1\n" for n, key in enumerate(SLOW_KEYS))
    file.write_text(f"good:{GOOD_KEY}\n{slow}")
    flags = ["--auth-enabled", "--auth-keys-file", str(file)]
    yield from start([*flags, "--parallel", "1", "--max-queue-size", "1"], is_trained=True)


@pytest.fixture
def slow_key() -> str:
    """A key that has its one request of this minute still to make."""
    return SLOW_KEYS.pop()
