"""Owns a run from start to verdict, in the process that has no master above it."""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.lock import RLock

from loadtest import _model, _target, _verdict
from loadtest._embedded import Embedded
from loadtest._live import Live, Tick
from loadtest._lives import LOG, Axis, life_rows
from loadtest._meter import ProcessMeter
from loadtest._options import Settings, host_url
from loadtest._order import Order, machine_id
from loadtest._pulse import Pulse
from loadtest._refusal import Refusal, tell
from loadtest._run import Run
from loadtest._scrape import Scrape
from loadtest._swarms import Swarms
from loadtest._watch import NODE, Watch
from reports import rundir
from reports.errors import RunDirError
from reports.rundir import RunWriter
from reports.runinfo import Aborted, write_text
from reports.verdict import Exit, worst
from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.loader import loads
from scenarios.model import Scenario
from system.client.errors import HelperGone
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

LEAD_S: Final = 0.5
"""From the order to second 0 of an open load, so that every process is there in time."""
FOR_EVER_S: Final = 24 * 3600.0


class Controller:
    """Makes the run directory, owns the embedded stack, gives orders, judges.

    ``codes`` collects what this process's exit code is made of. Errors that a
    user can read are printed as one line; no traceback reaches the terminal.
    """

    def __init__(
        self,
        settings: Settings,
        swarms: Swarms,
        *,
        distributed: bool,
        quit_run: Callable[[], None],
        users_now: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.codes: list[Exit] = []
        self.gated = False
        self.block = ""
        """The verdict of the last run as text."""
        self._swarms = swarms
        self._distributed = distributed
        self._quit_run = quit_run
        self._users_now = users_now
        self._embedded = Embedded()
        self._run: Run | None = None
        self._runs = 0
        self._live = Live()
        self._lock = RLock()
        swarms.hear(self._on_pulse)

    # --- before a run --------------------------------------------------------------

    def prepare(self, users: int, rate: float) -> None:
        """Start what a headless run needs before Locust's clock runs.

        Raises:
            Refusal, StackError, HelperGone: it cannot start; one line says why.
        """
        if self.settings.host is None:
            self._embedded.start(self._scenario(self._scenario_text(users, rate, FOR_EVER_S)))
        if not self._distributed:
            self._swarms.prepare()

    def _scenario(self, text: str) -> Scenario:
        return loads(text, self.settings.scenario_file or "<scenario>", host=None)

    def _scenario_text(self, users: int, rate: float, run_time_s: float) -> str:
        if self.settings.scenario_text is not None:
            return self.settings.scenario_text
        embedded = self.settings.host is None
        return _target.viewers_scenario(users, rate, run_time_s, embedded=embedded)

    # --- a run ---------------------------------------------------------------------

    def begin(self, host: str | None, users: int, rate: float, run_time_s: float | None) -> None:
        """Begin a run; every failure is told, counted, and ends the test."""
        with self._told(), self._lock:
            self._begin(host, users, rate, run_time_s)

    def _begin(self, host: str | None, users: int, rate: float, run_time_s: float | None) -> None:
        settings = self.settings
        text = self._scenario_text(users, rate, run_time_s or FOR_EVER_S)
        scenario = self._scenario(text)
        url, secret = self._target(host, scenario)
        writer = self._new_run_dir(scenario, text, url if secret is None else "embedded")
        if settings.scenario_file is not None and _model.is_needed(scenario):
            logger.info("model.simulating")
            _model.predict(Path(settings.scenario_file), writer.path / "model")
            writer.register_prediction()
        self._swarms.prepare()
        lead_s = LEAD_S * (2 if self._distributed else 1) if settings.has_shape else 0.0
        epoch = time.time() + lead_s
        planned_s = None
        if settings.scenario is not None:
            planned_s = schedule.duration_s(scenario)
        if planned_s is not None and run_time_s is not None:
            planned_s = min(planned_s, run_time_s)
        start_at = time.monotonic() + lead_s
        theirs = Scrape(settings.metrics or _target.metrics_urls(url))
        watch = Watch(
            scenario,
            theirs if secret is None else self._embedded,
            elapsed_s=lambda: time.monotonic() - start_at,
            enter=self._swarms.enter,
            aborted=self._on_aborted,
            problem=writer.add_problem,
        )
        run = Run(
            writer=writer,
            scenario=scenario,
            epoch=epoch,
            start_at=start_at,
            planned_s=planned_s,
            users=users,
            rate=rate,
            watch=watch,
        )
        self._run = run
        self._live = watch.live
        self.gated = bool(scenario.gates)
        files = writer.path / rundir.FILES
        self._swarms.begin(
            Order(
                run_dir=str(writer.path.resolve()),
                machine=machine_id(),
                epoch=epoch,
                scenario_text=text,
                url=url,
                users=max(users, 1),
                joins_per_s=settings.joins_per_s,
                picture_every_s=settings.picture_every_s,
                token_file=None if settings.token_file is None else str(settings.token_file),
                files=str(files.resolve()) if files.is_dir() else None,
                secret=secret,
            )
        )
        if self._distributed:
            meter = ProcessMeter(
                "locust-master", start_at=run.start_at, sessions=lambda: 0, emit=run.rows.append
            )
            run.greenlets.append(gevent.spawn(meter.run))
        if secret is not None:
            self._embedded.begin(scenario, epoch)
            run.greenlets.append(
                gevent.spawn(
                    self._embedded.look_after,
                    run.start_at,
                    run.look,
                    lambda text: self.fail(Exit.INTERNAL, text),
                )
            )
        else:
            run.greenlets.append(gevent.spawn(theirs.look_after, run.start_at, run.look))
        watch.start()

    def _target(self, host: str | None, scenario: Scenario) -> tuple[str, str | None]:
        """Address and secret of what is loaded; a secret means that it is ours."""
        if not host:
            return self._embedded.start(scenario)
        url = host_url(host, allowed=True)
        if url != self.settings.host:  # the web form names another
            _target.preflight(host_url(host, allowed=False))
        return url, None

    def _new_run_dir(self, scenario: Scenario, text: str, target: str) -> RunWriter:
        self._runs += 1
        given = self.settings.run_dir
        if given is None:
            path = rundir.new_run_dir(rundir.run_id(scenario.name))
        else:
            name = given.name if self._runs == 1 else f"{given.name}-{self._runs}"
            path = rundir.new_run_dir(name, given.parent)
        return RunWriter(path, text, target=target, argv=sys.argv)

    @property
    def over(self) -> bool:
        """Whether the schedule of the present run is over, or nothing can come of it."""
        run = self._run
        if run is None:
            return Exit.USAGE in self.codes or Exit.INTERNAL in self.codes
        if run.drained:
            return True
        if run.watch.search is not None:
            return run.watch.search.over
        return run.elapsed_s >= schedule.duration_s(run.scenario)

    @property
    def wanted(self) -> tuple[int, float]:
        """Users that a shape asks Locust for, and how many of them per second."""
        search = None if self._run is None else self._run.watch.search
        return (0, 1.0) if search is None else (search.users, search.rate)

    @property
    def ticks(self) -> Sequence[Tick]:
        """The last seconds of the present run, or of the one before."""
        return self._live.history

    def _on_pulse(self, pulse: Pulse) -> None:
        if self._run is not None:
            self._run.watch.pulse(pulse)

    def _on_aborted(self, found: Aborted) -> None:
        run = self._run
        if run is not None and not run.drained:
            run.aborted = True
            run.writer.update(aborted=found)
            self._quit_run()

    def fail(self, code: Exit, text: str) -> None:
        """Tell what went wrong, count it, and end the test."""
        self.codes.append(code)
        tell(text)
        self._quit_run()

    # --- after a run -----------------------------------------------------------------

    def drain(self) -> None:
        """End all sessions and gather their rows; for Locust's ``test_stopping``."""
        run = self._run
        if run is None:
            return  # perhaps one is about to begin, which Locust then kills: do not wait for it
        with self._lock:
            if run.drained:
                return
            run.drained = True
            with self._told():
                elapsed_s, problems = run.elapsed_s, run.problems
                run.watch.stop()
                gevent.killall(run.greenlets)
                self._keep_log(run, elapsed_s)
                for problem in [*self._swarms.drain(), *problems]:
                    run.writer.add_problem(problem)
                renderer, encoder = self._embedded.renderer_and_encoder()
                shows_pool = run.writer.info.shows_pool or run.saw_pool
                run.writer.update(renderer=renderer, encoder=encoder, shows_pool=shows_pool)
                if self.settings.scenario is None:
                    self._rewrite_scenario(run, elapsed_s)

    def _keep_log(self, run: Run, elapsed_s: float) -> None:
        """The embedded orchestrator's log: rows of its workers' lives, and decisions to replay."""
        log = self._embedded.log()
        if log:
            axis = Axis(run.epoch, elapsed_s, schedule.stages(run.scenario))
            run.lives = life_rows(log, axis)
            write_text(run.writer.path / LOG, "\n".join([*log, ""]))

    def _rewrite_scenario(self, run: Run, elapsed_s: float) -> None:
        """A run without a scenario gets the one that it turned out to be."""
        users = max(run.users, self._users_now(), 1)
        text = self._scenario_text(users, run.rate, max(elapsed_s, 1.0))
        (run.writer.path / "scenario.yaml").write_text(text, encoding="utf-8")
        run.writer.update(scenario_sha256=hashlib.sha256(text.encode()).hexdigest())

    def finish(self) -> None:
        """Build the report and take its verdict; for Locust's ``test_stop``."""
        run = self._run
        if run is None:
            return
        with self._lock:
            if run.finished:
                return
            self.drain()
            run.finished = True
            self._run = None
            self._embedded.stop()
            with self._told():
                run.writer.write_rows("system", NODE, run.rows)
                run.writer.write_rows("events", NODE, [*run.watch.rows(), *run.lives])
                run.writer.finish()
                assessment = _verdict.judge(run.writer.path)
                self.codes.append(Exit(assessment.verdict.code))
                self.block = _verdict.block(assessment, run.writer.path)

    def close(self) -> None:
        """Release everything; safe to call at any time, and twice."""
        self._embedded.stop()
        self._swarms.close()

    def exit_code(self, *, errors: bool, crashed: bool) -> Exit | None:
        """This process's exit code; None leaves it to Locust.

        ``errors``: something failed in Locust's table. Gates judge that; without
        one, Locust's own rule stands. ``crashed``: a greenlet of ours raised.
        """
        codes = [*self.codes, Exit.INTERNAL] if crashed else self.codes
        code = worst(codes)
        if code is Exit.PASS and (not codes or (errors and not self.gated)):
            return None
        return code

    def _told(self) -> _Told:
        return _Told(self)


class _Told(suppress):
    """Turns what can go wrong into one line and an exit code."""

    _CODES: Final = (
        (Refusal, Exit.USAGE),
        (ScenarioError, Exit.USAGE),
        (RunDirError, Exit.USAGE),
        (StackError, Exit.INTERNAL),
        (HelperGone, Exit.INTERNAL),
    )

    def __init__(self, controller: Controller) -> None:
        super().__init__(Exception)
        self._controller = controller

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if not isinstance(error, Exception):
            return False
        for known, code in self._CODES:
            if isinstance(error, known):
                self._controller.fail(code, str(error))
                return True
        logger.debug("run.failed", exc_info=error)
        self._controller.fail(
            Exit.INTERNAL, f"{type(error).__name__}: {error} (-L DEBUG shows where)"
        )
        return True
