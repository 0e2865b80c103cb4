"""Spreads replications over processes or machines; joblib and what it connects to do the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from scenarios import loader
from sim.from_scenario import Case
from sim.model import BadModel
from sim.run import Engine, Replication, replicate

Backend = Literal["serial", "loky", "dask", "ray"]


def replications(
    file: str, case: Case, count: int, engine: Engine, backend: Backend, address: str | None
) -> Iterator[Replication]:
    """Simulate ``count`` replications of a scenario file, in their order.

    Raises:
        BadModel: the backend is not installed, or needs an address.
    """
    if backend == "serial":
        yield from (replicate(case, number, engine) for number in range(count))
        return
    import joblib

    with _connected(backend, address):
        parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
        yield from parallel(joblib.delayed(_one)(file, number, engine) for number in range(count))


_cases: dict[str, Case] = {}


def _one(file: str, number: int, engine: Engine) -> Replication:
    """In another process: the scenario is read once there."""
    if file not in _cases:
        _cases.clear()
        _cases[file] = Case(loader.load(file, host="simulated"))
    return replicate(_cases[file], number, engine)


def _connected(backend: Backend, address: str | None) -> AbstractContextManager[Any]:
    import joblib

    if backend == "loky":
        if address is not None:
            raise BadModel("--address goes with --backend dask or ray")
        return nullcontext()
    if address is None:
        raise BadModel(f"--backend {backend} needs the --address of its scheduler")
    try:
        if backend == "dask":
            from dask.distributed import Client

            Client(address)
        else:
            import ray
            from ray.util.joblib import register_ray

            ray.init(address=address)
            register_ray()
    except ImportError as error:
        raise BadModel(f"--backend {backend}: the package '{error.name}' is missing") from None
    except OSError as error:
        raise BadModel(f"--backend {backend}: {address} cannot be reached: {error}") from None
    context: AbstractContextManager[Any] = joblib.parallel_config(backend=backend)
    return context
