"""The machine and the versions that a number was measured with."""

from __future__ import annotations

import atexit
import os
import platform
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "twotower", "numpy", "torch", "transformers", "sentence-transformers", "faiss-cpu", "open_clip_torch",
    "bm25s", "PyStemmer", "jieba", "ir-measures", "hnswlib", "usearch", "implicit", "txtai", "FlashRank",
    "accelerate", "datasets", "onnxruntime", "scipy", "scikit-learn",
)  # fmt: skip
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def commit() -> str:
    """The checkout's commit, with "+changes" if files differ from it; "unknown" outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that a benchmark may use."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def hardware() -> dict[str, str | int]:
    """Processor, cores, threads in use, memory, operating system, and the GPU if there is one; no host name."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts: dict[str, str | int] = {
        "processor": _entry("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory / 2**30),
        "system": platform.system(),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def pin_threads(threads: int) -> None:
    """Set the number of threads of every library, loaded already or loaded later."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def installed(system: str, *packages: str) -> bool:
    """Whether all packages that a peer needs are installed; if not, says on stderr that it is left out."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        print(f"{system} is left out: pip install {' '.join(missing)}", file=sys.stderr)
    return not missing


def peak_rss_mb() -> float:
    """The most memory that this process has held, in MB (10**6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def held_mb(entry: str = "VmRSS") -> float:
    """The memory that this process holds now, in MB (10**6 bytes); "RssAnon" leaves out mapped files. Linux only."""
    return int(_entry("/proc/self/status", entry).split()[0]) * 1024 / 1e6


def scratch_folder(name: str) -> Path:
    """A new empty temporary folder, removed when the process ends."""
    folder = Path(mkdtemp(prefix=f"twotower-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _entry(file: str, name: str) -> str:
    """The first value of this name in a file of "name: value" lines; "" if there is none."""
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
