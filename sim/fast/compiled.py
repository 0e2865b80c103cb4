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

_njit: Any = numba.njit
"""Its annotations do not know ``_nrt``, which a function would else inherit from its caller."""


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    text = hashlib.sha256(numba.__version__.encode())
    for folder in (Path(__file__).parent, Path(policy.__file__).parent):
        for file in sorted(folder.glob("*.py")):
            text.update(file.read_bytes())
    return Path(base) / "remote-render" / f"numba-{text.hexdigest()[:16]}"


if "NUMBA_CACHE_DIR" not in os.environ:
    setattr(numba.config, "CACHE_DIR", str(_cache()))  # noqa: B010  made at run time


def compiled(function: F) -> F:
    """``function`` as machine code, compiled at its first call or found in the cache."""
    return cast(F, _njit(cache=True, error_model="numpy", _nrt=True)(function))


def lean(function: F) -> F:
    """As ``compiled``, for functions that allocate nothing.

    They count no references to their arrays, which their callers hold anyway:
    counting takes most of the time of a function that does little with many.
    """
    return cast(F, _njit(cache=True, error_model="numpy", _nrt=False)(function))
