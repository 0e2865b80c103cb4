"""Spreads replications over processes or machines; joblib and what it connects to do the work.

Each task carries the whole scenario, its files included, so that a machine of a
cluster needs this package and nothing else. Draws are bound to the number of
the replication: wherever it is simulated, the result is the same.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from scenarios import loader
from scenarios.model import Scenario
from sim.from_scenario import Case
from sim.model import BadModel
from sim.run import Engine, Replication, replicate

Backend = Literal["auto", "serial", "loky", "dask", "ray"]
CONNECT_S: Final = 10.0
WORTH_S: Final = 10.0
"""Less work than this is done before other processes have started."""
PACKAGES: Final = {"dask": "distributed", "ray": "ray"}


@dataclass(frozen=True)
class Parcel:
    """A scenario as it travels: its text, and the files that it names."""

    text: str
    files: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, scenario: Scenario, text: str) -> Parcel:
        """Pack a scenario; raises BadModel where a file that it names is out of reach."""
        with tempfile.TemporaryDirectory() as directory:
            try:
                scenario.keep_files(Path(directory))
                found = [(file.name, file.read_bytes()) for file in Path(directory).iterdir()]
            except OSError as error:
                raise BadModel(f"{error.filename}: {(error.strerror or '').lower()}") from None
        return cls(text, tuple(sorted(found)))


_unpacked: dict[Parcel, tuple[Case, tempfile.TemporaryDirectory[str]]] = {}


def unpacked(parcel: Parcel) -> Case:
    """The scenario of a parcel, unpacked once in this process."""
    if parcel not in _unpacked:
        _unpacked.clear()
        directory = tempfile.TemporaryDirectory(prefix="remote-render-sim-")
        for name, data in parcel.files:
            (Path(directory.name) / name).write_bytes(data)
        scenario = loader.loads(parcel.text, host="simulated", base=Path(directory.name))
        _unpacked[parcel] = (Case(scenario), directory)
    return _unpacked[parcel][0]


def _one(parcel: Parcel, number: int, engine: Engine) -> Replication:
    return replicate(unpacked(parcel), number, engine)


def replications(
    text: str, case: Case, count: int, engine: Engine, backend: Backend, cluster: str | None
) -> Iterator[Replication]:
    """Simulate ``count`` replications of the scenario with this text, in their order.

    ``auto`` uses all cores where that is worth it: the second replication, for
    which everything is compiled, tells how long the others will take.

    Raises:
        BadModel: the backend is not installed, or its cluster is missing or out of reach.
    """
    check(backend, cluster)
    first = 0
    if backend == "auto":
        took_s = 0.0
        while first < min(2, count):
            began_s = time.monotonic()
            yield replicate(case, first, engine)
            took_s = time.monotonic() - began_s
            first += 1
        backend = "loky" if took_s * (count - first) > WORTH_S else "serial"
    if backend == "serial":
        yield from (replicate(case, number, engine) for number in range(first, count))
        return
    import joblib

    parcel = Parcel.of(case.scenario, text)
    with connected(backend, cluster):
        parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
        yield from parallel(
            joblib.delayed(_one)(parcel, number, engine) for number in range(first, count)
        )


def check(backend: Backend, cluster: str | None) -> None:
    """Raise BadModel where a cluster and a backend do not go together."""
    if cluster is not None and backend not in PACKAGES:
        raise BadModel(f"--cluster goes with --backend {' or '.join(PACKAGES)}")
    if cluster is None and backend in PACKAGES:
        raise BadModel(f"--backend {backend} needs --cluster, the address of its scheduler")


@contextlib.contextmanager
def connected(backend: Backend, cluster: str | None) -> Iterator[None]:
    """Have joblib send its tasks to a cluster; the connection is closed afterwards."""
    import joblib

    if backend == "loky":
        with joblib.parallel_config(backend="loky"):
            yield
        return
    check(backend, cluster)
    assert cluster is not None
    try:
        connection = _dask(cluster) if backend == "dask" else _ray(cluster)
    except ImportError as error:
        raise BadModel(
            f"--backend {backend}: the package '{error.name}' is missing: "
            f"pip install '{PACKAGES[backend]}'"
        ) from None
    except (OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadModel(f"--backend {backend}: {cluster} cannot be reached: {why}") from None
    with connection, joblib.parallel_config(backend=backend):
        yield


def _dask(cluster: str) -> contextlib.AbstractContextManager[Any]:
    distributed = importlib.import_module("distributed")
    client: contextlib.AbstractContextManager[Any]
    client = distributed.Client(cluster, timeout=CONNECT_S)
    return client


def _ray(cluster: str) -> contextlib.AbstractContextManager[Any]:
    import ray
    from ray.util.joblib import register_ray

    ray.init(address=cluster)
    register_ray()
    stack = contextlib.ExitStack()
    stack.callback(ray.shutdown)
    return stack
