"""Two builds of FAISS overwrite each other's files, and pip does not notice; so this does."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

FAISS_BUILDS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss")


def check_single_faiss() -> None:
    """Refuse an environment with two distributions that install the package `faiss`.

    Raises:
        ImportError: there are two or more.
    """
    found = [name for name in FAISS_BUILDS if _is_installed(name)]
    if len(found) > 1:
        raise ImportError(
            f"{' and '.join(found)} are installed together and overwrite each other: run "
            f"`pip uninstall -y {' '.join(found)}`, then install the one that you want"
        )


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
