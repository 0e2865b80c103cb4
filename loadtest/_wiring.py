"""Hears Locust's first events: checks the command line, then gives this process its role.

What only a run needs (pandas, matplotlib, WebRTC) is imported after the check:
a misspelt option is told at once, and forked processes share the imports.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from loadtest import _options, _target
from loadtest._options import Settings
from loadtest._refusal import Refusal, tell
from reports.verdict import Exit

if TYPE_CHECKING:
    from loadtest._swarm import Swarm


class LoadTest:
    """The load test of this process; ``swarm`` is what its users live in, on a master None."""

    def __init__(self, user_class: str) -> None:
        self._user_class = user_class
        self._settings: Settings | None = None
        self._parsed_in = 0
        self.swarm: Swarm | None = None

    def install(self, events: Any) -> None:
        """Listen to Locust's events, which are not typed."""
        events.init_command_line_parser.add_listener(self._on_parser)
        events.init.add_listener(self._on_init)

    def _on_parser(self, parser: Any, **_: Any) -> None:
        _options.add_arguments(parser)
        if self._settings is not None:
            return  # the web UI makes parsers to list options
        parse = parser.parse_args

        def parse_and_check(*args: Any, **kwargs: Any) -> Any:
            # Here and not on `init`: that is after `--processes` has forked.
            options = parse(*args, **kwargs)
            if self._settings is None:
                self._settings = _checked(vars(options))
                self._parsed_in = os.getpid()
            return options

        parser.parse_args = parse_and_check

    def _on_init(self, environment: Any, runner: Any, web_ui: Any = None, **_: Any) -> None:
        from loadtest import _roles

        settings = self._settings or Settings()
        forked_by = self._parsed_in if self._parsed_in != os.getpid() else None
        self.swarm = _roles.take(
            environment, runner, settings, self._user_class, web_ui=web_ui, forked_by=forked_by
        )


def _checked(options: dict[str, Any]) -> Settings:
    """The settings that the options ask for; ends the process where they cannot be."""
    if options["worker"]:
        settings = Settings(helpers=options["helpers"])
    else:
        try:
            settings = _options.check(options)
            _target.web_port_is_free(options)
            if settings.host is not None:
                _target.preflight(settings.host)
        except Refusal as refusal:
            tell(str(refusal))
            sys.exit(int(Exit.USAGE))
        except Exception as error:
            if options["loglevel"] == "DEBUG":
                raise
            tell(f"{type(error).__name__}: {error} (-L DEBUG shows where)")
            sys.exit(int(Exit.INTERNAL))
    from loadtest import _roles  # noqa: F401 - before `--processes` forks

    return settings
