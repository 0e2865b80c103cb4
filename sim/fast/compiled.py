"""Compiles functions with numba and keeps what was compiled in the user's cache.

numba notices a change of the file that a function is in, but not of those that
it calls; so the cache is named after the text of all of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from system.orchestrator import policy

F = TypeVar("F", bound=Callable[..., Any])


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    text = hashlib.sha256(numba.__version__.encode())
    for folder in (Path(__file__).parent, Path(policy.__file__).parent):
        for file in sorted(folder.glob("*.py")):
            text.update(file.read_bytes())
    return Path(base) / "remote-render" / f"numba-{text.hexdigest()[:16]}"


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache())


def compiled(function: F) -> F:
    """``function`` as machine code, compiled at its first call or found in the cache."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))
