"""The whole recipe: `python3 tools/train/run.py`. Options are those of `train.py`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def interpreter_with_torch() -> str:
    """This interpreter, or the distribution's if only that one has PyTorch."""
    for candidate in (sys.executable, "/usr/bin/python3", "python3"):
        try:
            subprocess.run([candidate, "-c", "import torch"], check=True, capture_output=True)
            return candidate
        except (OSError, subprocess.CalledProcessError):
            continue
    sys.exit("no Python interpreter imports torch: apt-get install python3-torch libopenblas0-pthread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/train")
    known, others = parser.parse_known_args()
    python, here = interpreter_with_torch(), Path(__file__).parent
    subprocess.run([python, str(here / "train.py"), "--folder", known.folder, *others], check=True)
    subprocess.run([python, str(here / "export.py"), "--folder", known.folder], check=True)


if __name__ == "__main__":
    main()
