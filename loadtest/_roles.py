"""What a process does at Locust's events: the single process, the master, or a worker.

Order within one run: ``test_start`` begins it, ``test_stopping`` drains it while
users and messages still flow, ``test_stop`` judges it. ``quitting`` makes sure
that all of that has happened and sets the exit code.
"""

from __future__ import annotations

import atexit
import sys
from typing import Any, Final

import gevent
import locust.log
from locust.env import Environment
from locust.runners import STATE_RUNNING, MasterRunner, Runner, WorkerRunner

from loadtest import _orphan, _web
from loadtest._controller import Controller
from loadtest._options import Settings
from loadtest._refusal import Refusal, tell
from loadtest._shape import RunShape
from loadtest._swarm import Swarm
from loadtest._swarms import LocalSwarm, Swarms, WorkerSide, WorkerSwarms
from loadtest._table import Table
from reports.verdict import Exit
from scenarios import schedule
from scenarios.load import ClosedLoad
from scenarios.schedule import Arrival
from system.client.errors import HelperGone
from system.stack.errors import StackError

INTERRUPTED: Final = 130
"""Exit code of a process that Ctrl-C ended before anything was measured."""


def take(
    environment: Environment,
    runner: Runner,
    settings: Settings,
    user_class: str,
    *,
    web_ui: Any = None,
    forked_by: int | None = None,
) -> Swarm | None:
    """Take the role that ``runner`` stands for; the swarm of a process that has users.

    ``forked_by`` is the process that ``--processes`` forked this one from.
    """
    if isinstance(runner, MasterRunner):
        _own(environment, runner, settings, WorkerSwarms(runner), web_ui)
        return None
    swarm = Swarm(Table(environment.events.request), settings.helpers)
    gevent.spawn(swarm.warm)

    def pace() -> None:
        def spawn(arrival: Arrival) -> None:
            # The new user's greenlet runs only after this one has yielded.
            (user,) = runner.spawn_users({user_class: 1})
            user.arrival = arrival

        swarm.pace(spawn, ready=lambda: runner.state == STATE_RUNNING)

    if isinstance(runner, WorkerRunner):
        if forked_by is not None:
            gevent.spawn(_orphan.watch, forked_by, swarm.close)
        _obey(environment, WorkerSide(runner, swarm, pace))
    else:
        _own(environment, runner, settings, LocalSwarm(swarm, pace), web_ui)
    return swarm


def _obey(environment: Environment, side: WorkerSide) -> None:
    """Be a worker: the master says what to do."""
    events: Any = environment.events
    events.test_start.add_listener(lambda **_: side.start())
    events.test_stopping.add_listener(lambda **_: side.drain())
    events.quitting.add_listener(lambda **_: side.close())


def _own(
    environment: Environment, runner: Runner, settings: Settings, swarms: Swarms, web_ui: Any
) -> None:
    """Own the runs: be the master, or the only process."""
    options = environment.parsed_options
    assert options is not None
    controller = Controller(
        settings,
        swarms,
        distributed=isinstance(runner, MasterRunner),
        quit_run=lambda: gevent.spawn(runner.quit if options.headless else runner.stop),
        users_now=lambda: runner.target_user_count,
    )
    if web_ui is not None:
        _web.install(web_ui, lambda: controller.ticks)
    if settings.has_shape:
        shape = RunShape(lambda: controller.wanted, lambda: controller.over)
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
    atexit.register(controller.close)  # Locust's own ways out do not all fire `quitting`
    if options.headless or options.autostart:
        _prepare(controller, options)


def _prepare(controller: Controller, options: Any) -> None:
    """Start what takes time before Locust's clock runs; end the process where that fails."""
    try:
        controller.prepare(options.num_users or 1, float(options.spawn_rate or 1.0))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (Refusal, StackError, HelperGone) as error:
        tell(str(error))
        sys.exit(int(Exit.USAGE if isinstance(error, Refusal) else Exit.INTERNAL))


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
