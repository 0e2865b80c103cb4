"""Connects the load test to Locust's events: who does what in a single process, master or worker.

Order within one run: ``test_start`` begins it, ``test_stopping`` drains it while
users and messages still flow, ``test_stop`` judges it. ``quitting`` makes sure
that all of that has happened and sets the exit code.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import gevent
import locust.log
from locust.env import Environment
from locust.runners import STATE_RUNNING, LocalRunner, MasterRunner, Runner, WorkerRunner

from loadtest import _options, _target
from loadtest._controller import Controller
from loadtest._options import Settings
from loadtest._refusal import Refusal, tell
from loadtest._shape import ScheduleShape
from loadtest._swarm import Swarm
from loadtest._swarms import LocalSwarm, Swarms, WorkerSide, WorkerSwarms
from loadtest._table import Table
from reports.verdict import Exit
from scenarios import schedule
from scenarios.load import ClosedLoad
from scenarios.schedule import Arrival
from system.client.errors import HelperGone
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

INTERRUPTED: Final = 130
"""Exit code of a process that Ctrl-C ended before anything was measured."""


class LoadTest:
    """The load test of this process; ``swarm`` is what its users live in."""

    def __init__(self, user_class: str) -> None:
        self._user_class = user_class
        self._settings: Settings | None = None
        self.swarm: Swarm | None = None

    def install(self, events: Any) -> None:
        """Listen to Locust's events, which are not typed."""
        events.init_command_line_parser.add_listener(self._on_parser)
        events.init.add_listener(self._on_init)

    # --- before anything: the command line -------------------------------------------

    def _on_parser(self, parser: Any, **_: Any) -> None:
        _options.add_arguments(parser)
        if self._settings is not None:
            return  # the web UI makes parsers to list options
        parse = parser.parse_args

        def parse_and_check(*args: Any, **kwargs: Any) -> Any:
            # Here and not on `init`: that is after `--processes` has forked.
            options = parse(*args, **kwargs)
            if self._settings is None:
                self._settings = self._checked(vars(options))
            return options

        parser.parse_args = parse_and_check

    def _checked(self, options: dict[str, Any]) -> Settings:
        if options["worker"]:
            return Settings(helpers=options["helpers"])
        try:
            settings = _options.check(options)
            if settings.host is not None:
                _target.preflight(settings.host)
        except Refusal as refusal:
            tell(str(refusal))
            sys.exit(int(Exit.USAGE))
        return settings

    # --- in each process ----------------------------------------------------------------

    def _on_init(self, environment: Environment, runner: Runner, **_: Any) -> None:
        settings = self._settings or Settings()
        if isinstance(runner, MasterRunner):
            self._own(environment, runner, settings, WorkerSwarms(runner))
            return
        self.swarm = Swarm(Table(environment.events.request), settings.helpers)
        if isinstance(runner, WorkerRunner):
            self._obey(environment, runner, self.swarm)
        elif isinstance(runner, LocalRunner):
            local = LocalSwarm(self.swarm, lambda: self._pace(runner))
            self._own(environment, runner, settings, local)

    def _obey(self, environment: Environment, runner: WorkerRunner, swarm: Swarm) -> None:
        side = WorkerSide(runner, swarm)

        def on_start(**_: Any) -> None:
            side.start()
            self._pace(runner)

        def on_quitting(**_: Any) -> None:
            side.drain()
            swarm.close()

        events: Any = environment.events
        events.test_start.add_listener(on_start)
        events.test_stopping.add_listener(lambda **_: side.drain())
        events.quitting.add_listener(on_quitting)

    def _own(
        self, environment: Environment, runner: Runner, settings: Settings, swarms: Swarms
    ) -> None:
        options = environment.parsed_options
        assert options is not None
        controller = Controller(
            settings,
            swarms,
            distributed=isinstance(runner, MasterRunner),
            quit_run=lambda: gevent.spawn(runner.quit if options.headless else runner.stop),
            users_now=lambda: runner.target_user_count,
        )
        if settings.is_open:
            shape = ScheduleShape(lambda: controller.over)
            shape.runner = runner
            environment.shape_class = shape
        else:
            _closed_defaults(options, settings)

        def say() -> None:
            # With --json, standard output belongs to Locust's document.
            stream = sys.stderr if options.json else sys.stdout
            stream.write(controller.block)
            stream.flush()

        def on_start(**_: Any) -> None:
            controller.begin(
                environment.host or None,
                runner.target_user_count,
                float(options.spawn_rate or 1.0),
                options.run_time,
            )

        def on_stop(**_: Any) -> None:
            controller.finish()
            if not options.headless:
                say()

        def on_quitting(**_: Any) -> None:
            runner.stop()  # does nothing where the test has stopped
            controller.finish()
            controller.close()
            crashed = bool(runner.exceptions) or locust.log.unhandled_greenlet_exception
            code = controller.exit_code(errors=bool(runner.errors), crashed=crashed)
            if code is not None:
                environment.process_exit_code = int(code)

        events: Any = environment.events
        events.test_start.add_listener(on_start)
        events.test_stopping.add_listener(lambda **_: controller.drain())
        events.test_stop.add_listener(on_stop)
        events.quitting.add_listener(on_quitting)
        events.quit.add_listener(lambda **_: say() if options.headless else None)
        if options.headless or options.autostart:
            self._prepare(controller, options)

    def _prepare(self, controller: Controller, options: Any) -> None:
        """Start what takes time before Locust's clock runs; end here where that fails."""
        try:
            controller.prepare(options.num_users or 1, float(options.spawn_rate or 1.0))
        except KeyboardInterrupt:
            controller.close()
            sys.exit(INTERRUPTED)
        except (Refusal, StackError, HelperGone) as error:
            tell(str(error))
            controller.close()
            sys.exit(int(Exit.USAGE if isinstance(error, Refusal) else Exit.INTERNAL))

    def _pace(self, runner: Runner) -> None:
        def spawn(arrival: Arrival) -> None:
            # The new user's greenlet runs only after this one has yielded.
            (user,) = runner.spawn_users({self._user_class: 1})
            user.arrival = arrival

        assert self.swarm is not None
        self.swarm.pace(spawn, ready=lambda: runner.state == STATE_RUNNING)


def _closed_defaults(options: Any, settings: Settings) -> None:
    """What a closed scenario says, where the command line does not."""
    scenario = settings.scenario
    if scenario is None or not isinstance(scenario.load, ClosedLoad):
        return
    load = scenario.load
    if options.num_users is None:
        options.num_users = load.users
    if options.spawn_rate is None:
        users = options.num_users
        rate = users / load.ramp_s if load.ramp_s > 0 else float(users)
        options.spawn_rate = min(rate, settings.joins_per_s or rate)
    if options.run_time is None:
        options.run_time = round(schedule.duration_s(scenario)) or 1
