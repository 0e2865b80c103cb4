"""The command group ``remote-render sim``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from reports import rundir
from reports.assess import assess
from reports.build import write as write_report
from reports.errors import RunDirError
from reports.rundir import RunReader, RunWriter
from reports.runinfo import write_json
from reports.summary import summary
from reports.verdict import Exit
from scenarios import loader, quantities
from scenarios.errors import ScenarioError
from scenarios.model import Scenario
from sim import rows, scale
from sim.against import compare, other_case
from sim.bench import Timing
from sim.from_scenario import Case
from sim.model import BadModel
from sim.replay import BadLog
from sim.run import Engine, Replication, TooMuch, why_not_fast
from sim.scale import Backend
from system.orchestrator.pools import BadPool

if TYPE_CHECKING:
    from sim.plan.answer import Answer

T = TypeVar("T")

_file = click.argument("file", type=click.Path(path_type=Path))
_run_dir = click.option(
    "--run-dir", type=click.Path(path_type=Path), help="Where to write; default: runs/<id>."
)
_json = click.option("--json", "as_json", type=click.Choice(["-"]), help="Print JSON.")
_backend = click.option(
    "--backend",
    type=click.Choice(["auto", "serial", "loky", "dask", "ray"]),
    default="auto",
    show_default=True,
    help="Where days are simulated: here one by one, on all cores, or on a cluster.",
)
_cluster = click.option("--cluster", help="Address of the scheduler of dask or ray.")


@click.group("sim")
def group() -> None:
    """Simulate worker pools and plan them."""


@group.command("run")
@_file
@click.option("--replications", type=click.IntRange(1, 100_000), help="Default: as in FILE.")
@click.option("--engine", type=click.Choice(["fast", "simpy"]), default="fast")
@_backend
@_cluster
@_run_dir
@_json
def run_command(
    file: Path,
    replications: int | None,
    engine: Engine,
    backend: Backend,
    cluster: str | None,
    run_dir: Path | None,
    as_json: str | None,
) -> None:
    """Simulate the scenario FILE and judge it by its gates; exit with the verdict."""
    case = guarded(lambda: read_case(file))
    other = guarded(lambda: other_case(case.scenario))
    name = rundir.run_id(f"{case.scenario.name}-sim")
    path = guarded(
        lambda: (
            rundir.new_run_dir(name)
            if run_dir is None
            else rundir.new_run_dir(run_dir.name, run_dir.parent)
        )
    )
    chosen = choose_engine(case, engine)
    count = replications or case.scenario.sim.replications

    def simulated() -> list[Replication]:
        text = loader.read(file)
        try:
            found = scale.replications(text, case, count, chosen, backend, cluster)
            return replicated(found, count)
        except (BadModel, TooMuch):
            path.rmdir()  # nothing is in it yet
            raise

    days = guarded(simulated)
    guarded(lambda: store(path, file, case, days))
    assessment = guarded(lambda: assess(RunReader(path)))
    guarded(lambda: write_report(assessment))
    built = summary(assessment)
    beside = None if other is None else guarded(lambda: compare(case, days, other))
    if beside is not None:
        built["against"] = beside.as_json()
        guarded(lambda: write_json(path / "against.json", beside.as_json()))
    if as_json:
        click.echo(json.dumps(built, indent=2, allow_nan=False))
    else:
        if beside is not None:
            click.echo(f"{beside.as_text()}\n")
        click.echo(f"{assessment.verdict.word}: {assessment.verdict.reason}")
        click.echo(f"report: {path / 'report.html'}")
    sys.exit(assessment.verdict.code)


@group.command("plan")
@_file
@click.option("--budget", help="Wall-clock time, e.g. 60s; default: as in FILE.")
@_backend
@_cluster
@_run_dir
@_json
def plan_command(
    file: Path,
    budget: str | None,
    backend: Backend,
    cluster: str | None,
    run_dir: Path | None,
    as_json: str | None,
) -> None:
    """Find the cheapest policy that keeps the gates of FILE; Ctrl-C gives the best so far."""
    guarded(lambda: scale.check(backend, cluster))
    scenario = guarded(lambda: read_case(file)).scenario
    budget_s = 60.0 if scenario.plan is None else scenario.plan.budget_s
    if budget is not None:
        budget_s = guarded(lambda: seconds(budget, "--budget"))
    path = guarded(
        lambda: None if run_dir is None else rundir.new_run_dir(run_dir.name, run_dir.parent)
    )
    from sim.plan.command import planned, write_plan
    from sim.plan.spread import Spread

    def search() -> Answer:
        parcel = scale.Parcel.of(scenario, loader.read(file))
        return planned(scenario, budget_s, Spread(parcel, backend, cluster))

    answer = guarded(search)
    if path is not None:
        guarded(lambda: write_plan(path, file, answer))
    if as_json:
        click.echo(json.dumps(answer.as_json(), indent=2, allow_nan=False))
    else:
        click.echo(answer.as_text())
    if answer.found.best is None:
        sys.exit(Exit.INCONCLUSIVE if answer.found.interrupted else Exit.FAIL)


@group.command("bench")
@click.option("--users", type=click.IntRange(10), default=2000, help="At the peak of the day.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, help="The median counts.")
@click.option("--fast-only", is_flag=True, help="Leave simpy out, which is slow for many users.")
@_json
def bench_command(users: int, repeat: int, fast_only: bool, as_json: str | None) -> None:
    """Time the engines on a diurnal day with a policy every 10 s."""
    from sim import bench

    names = ["fast"] if fast_only else list(bench.ENGINES)
    medians = {}
    for name in names:
        timings = sorted((bench.measure(name, users) for _ in range(repeat)), key=_engine_s)
        medians[name] = timings[len(timings) // 2]
    fast_s = medians["fast"].engine_s
    found = {
        name: {**asdict(timing), "ratio": timing.engine_s / fast_s}
        for name, timing in medians.items()
    }
    if as_json:
        click.echo(json.dumps({"users": users, "engines": found}, indent=2))
        return
    for name, timing in medians.items():
        click.echo(
            f"{name:10} {timing.engine_s:9.4f} s, with draws {timing.with_draws_s:9.4f} s, "
            f"{timing.engine_s / fast_s:6.0f} x; {timing.arrivals} arrivals, "
            f"{timing.waited:.3%} waited"
        )


@group.command("fit")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["session", "patience", "boot", "start"]),
    help="Leave this part as the scenario has it; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace the output where it exists.")
@_json
def fit_command(
    runs: tuple[Path, ...], output: Path, keep: tuple[str, ...], force: bool, as_json: str | None
) -> None:
    """Fit boot and start times, session lengths and patience of measured RUNS.

    Writes the first one's scenario with what was fitted, for `sim run` and `sim plan`.
    """
    from sim import calibrate

    def work() -> calibrate.Calibration:
        if output.exists() and not force:
            raise BadModel(f"{output}: exists; name another file, or --force")
        if len({run.resolve() for run in runs}) < len(runs):
            raise BadModel("a run is named twice: its rows would count twice")
        read = [calibrate.read_run(run) for run in runs]
        for run in read:
            if not (run.info.validity or {}).get("valid", True):
                click.echo(f"note: {run.path}: invalid: its generator was late or busy", err=True)
        found = calibrate.calibrate(read, keep)
        calibrate.write(output, read, found)
        return found

    found = guarded(work)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, allow_nan=False))
        return
    for line in calibrate.told(found):
        click.echo(line)
    click.echo(f"scenario: {output}")


@group.command("replay")
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--pool-config",
    type=click.Path(path_type=Path),
    help="The orchestrator's, for a log whose lines do not carry the parameters.",
)
@_json
def replay_command(log: Path, pool_config: Path | None, as_json: str | None) -> None:
    """Ask the policies again what the orchestrator's LOG says they were asked."""
    from sim import replay
    from system.orchestrator import pools

    policies = {}
    if pool_config is not None:
        specs = guarded(lambda: pools.load(pool_config))
        policies = {spec.name: replay.parameters_of(spec) for spec in specs}
    found = guarded(lambda: replay.replay(_lines(log), policies))
    same = found.decisions - len(found.different)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        for difference in found.different[:20]:
            click.echo(difference)
        click.echo(f"{same} of {found.decisions} decisions are identical")
    sys.exit(Exit.FAIL if found.different else Exit.PASS)


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadModel(f"{log}: {(error.strerror or str(error)).lower()}") from None


def _engine_s(timing: Timing) -> float:
    return timing.engine_s


def seconds(text: str, name: str) -> float:
    """A duration of the command line; raises BadModel."""
    try:
        found = quantities.parse(text, quantities.DURATION)
    except quantities.QuantityError as error:
        raise BadModel(f"{name}: {error}") from None
    if found <= 0:
        raise BadModel(f"{name}: must be above 0s")
    return found


def read_case(file: Path) -> Case:
    """A scenario file as the simulator sees it; raises ScenarioError or BadModel."""
    scenario: Scenario = loader.load(file, host="simulated")
    return Case(scenario)


def choose_engine(case: Case, wanted: Engine) -> Engine:
    """The fast engine unless it cannot, which is said."""
    why = why_not_fast(case) if wanted == "fast" else ""
    if why:
        click.echo(f"note: the fast engine lacks {why}: simulated with simpy", err=True)
        return "simpy"
    return wanted


def replicated(days: Iterator[Replication], count: int) -> list[Replication]:
    """All replications, with a progress bar on a terminal."""
    with click.progressbar(
        days,
        length=count,
        label="simulating",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as shown:
        return list(shown)


def store(path: Path, file: Path, case: Case, days: list[Replication]) -> None:
    """Write the run directory, but for what reports derive from it."""
    writer = RunWriter(
        path,
        loader.read(file),
        kind="simulated",
        argv=["remote-render", "sim", "run", str(file), "--replications", str(len(days))],
    )
    every = rows.write(writer, case, days)
    writer.finish()
    if every > 1:
        click.echo(f"note: the run directory has the rows of every {every}th session", err=True)


def guarded(work: Callable[[], T]) -> T:
    """Run work for a user: what is wrong with the input becomes one line and exit code 2."""
    try:
        return work()
    except (ScenarioError, RunDirError, BadModel, BadLog, BadPool, TooMuch) as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        sys.exit(Exit.USAGE)
