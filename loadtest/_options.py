"""The command line of the load test: our options beside Locust's, and what cannot go together."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from loadtest._refusal import Refusal
from loadtest._target import stack_config
from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.load import CapacityLoad, ClosedLoad, OpenLoad
from scenarios.loader import loads, read
from scenarios.model import Scenario
from scenarios.support import Host
from system.protocol.metrics import METRICS, Per
from system.stack.config import is_loopback

DRIVERS: Final = ("native", "whep", "pixelstreaming")
DRIVERS_BUILT: Final = ("native",)
FOREIGN_JOINS_PER_S: Final = 5.0
"""Cap on joins per second where the host is not this machine and nobody said otherwise."""
MAX_PICTURES_PER_S: Final = 10.0
"""Of one viewer: more would load the generator more than the system."""

_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)/(s|min|h)")
_PER_S: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for, checked. ``host`` None means the embedded stack."""

    host: str | None = None
    scenario: Scenario | None = None
    scenario_text: str | None = None
    """The scenario file, verbatim."""
    scenario_file: str | None = None
    run_dir: Path | None = None
    token_file: Path | None = None
    metrics: tuple[str, ...] = ()
    """Where processes behind ``host`` say how they fare; ``/metrics`` of ``host`` if empty."""
    helpers: int = 1
    """Helper processes per Locust process."""
    joins_per_s: float | None = None
    """Cap over all processes; None is none."""
    picture_every_s: float | None = None
    """How often a decoding viewer has a picture judged; None is never."""

    @property
    def has_shape(self) -> bool:
        """Whether the scenario says how many viewers there are, and not ``-u`` and ``-r``."""
        load = None if self.scenario is None else self.scenario.load
        return isinstance(load, OpenLoad | CapacityLoad)


def add_arguments(parser: Any) -> None:
    """Declare our options; the values stay plain strings, as Locust sends them to its workers."""
    group = parser.add_argument_group("Remote rendering")

    def add(name: str, **options: Any) -> None:
        group.add_argument(name, **options)

    add("--scenario", metavar="FILE", default=None, help="scenario to run (YAML)")
    add(
        "--run-dir",
        metavar="DIR",
        default=None,
        help="where to write the run; runs/<time>-<name> if absent",
    )
    add(
        "--token-file",
        metavar="FILE",
        default=None,
        help="the join token for --host; read again at each join",
    )
    add(
        "--metrics",
        metavar="URLS",
        default=None,
        help="where processes behind --host say how they fare, with commas between: signaling, "
        "orchestrator, workers; /metrics of --host if absent",
    )
    add("--driver", choices=DRIVERS, default="native", help="what the viewers speak")
    add(
        "--i-may-load-this-host",
        action="store_true",
        default=False,
        help="confirm that you may load a host that is not this machine",
    )
    add(
        "--helpers",
        metavar="N",
        type=_positive,
        default=1,
        help="helper processes per Locust process, which hold the viewers",
    )
    add(
        "--join-rate-cap",
        metavar="RATE",
        type=_cap,
        default="auto",
        help=f"joins per second at most, e.g. 20/s, or none; {FOREIGN_JOINS_PER_S:g}/s for a host "
        "that is not this machine, else none",
    )
    add(
        "--picture-samples",
        metavar="RATE",
        type=_samples,
        default="1/s",
        help="how often a decoding viewer compares its picture with what should be in it, "
        "for video.psnr and video.ssim: e.g. 1/s, or none",
    )


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise ArgumentTypeError(f"'{text}' is not a number from 1 to 999")
    return int(text)


def _cap(text: str) -> str:
    match = _RATE.fullmatch(text)
    if text not in ("auto", "none") and (match is None or float(match[1]) == 0):
        raise ArgumentTypeError(f"'{text}' is not a rate: write e.g. 20/s, or none")
    return text


def _samples(text: str) -> str:
    match = _RATE.fullmatch(text)
    if text != "none" and (match is None or not 0 < _per_s(match) <= MAX_PICTURES_PER_S):
        raise ArgumentTypeError(
            f"'{text}' is not a rate up to {MAX_PICTURES_PER_S:g}/s: write e.g. 1/s, or none"
        )
    return text


def _per_s(match: re.Match[str]) -> float:
    return float(match[1]) / _PER_S[match[2]]


def check(options: Mapping[str, Any]) -> Settings:
    """Turn parsed options into settings.

    Raises:
        Refusal: something is missing or cannot go together; one line per reason.
    """
    driver = options["driver"]
    if driver not in DRIVERS_BUILT:
        raise Refusal(f"--driver {driver} is not supported by this version yet; there is: native")
    host = _host(options)
    text, scenario = _scenario(options["scenario"], "measured" if host is None else "foreign")
    settings = Settings(
        host=host,
        scenario=scenario,
        scenario_text=text,
        scenario_file=options["scenario"] or None,
        run_dir=_run_dir(options["run_dir"]),
        token_file=_token_file(options["token_file"], host),
        metrics=_metrics(options["metrics"], host, allowed=options["i_may_load_this_host"]),
        helpers=options["helpers"],
        joins_per_s=_joins_per_s(options["join_rate_cap"], host),
        picture_every_s=_picture_every_s(options["picture_samples"], scenario),
    )
    _check_load(options, settings)
    return settings


def _host(options: Mapping[str, Any]) -> str | None:
    given = options["host"]
    if not given:
        if options["master"]:
            raise Refusal(
                "--master needs --host: the embedded stack is on loopback, where other machines' "
                "workers cannot reach it (for one machine use --processes)"
            )
        return None
    return host_url(given, allowed=options["i_may_load_this_host"])


def host_url(given: str, *, allowed: bool) -> str:
    """The WebSocket address of ``--host`` (or of the web form's field).

    Raises:
        Refusal: not an address, or one that this user has not said may be loaded.
    """
    try:
        parts = urlsplit(given)
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if name is None or parts.scheme not in _SCHEMES or parts.username is not None:
        raise Refusal(f"--host '{given}' is not an address: write e.g. wss://host:8443")
    if not allowed and not is_loopback(name):
        raise Refusal(
            f"--host {name} is not this machine: load only what you may, then say "
            "--i-may-load-this-host"
        )
    where = f"[{name}]" if ":" in name else name
    at = where if port is None else f"{where}:{port}"
    return f"{_SCHEMES[parts.scheme]}://{at}{parts.path.rstrip('/')}"


def _scenario(file: str | None, host: Host) -> tuple[str | None, Scenario | None]:
    if not file:
        return None, None
    try:
        text = read(file)
        scenario = loads(text, file, host=host)
        scenario.read_files()
        return text, scenario
    except ScenarioError as error:
        raise Refusal(str(error)) from None


def _run_dir(given: str | None) -> Path | None:
    if not given:
        return None
    path = Path(given)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refusal(f"--run-dir {given} is there already and not empty")
    return path


def _token_file(given: str | None, host: str | None) -> Path | None:
    if not given:
        return None
    if host is None:
        raise Refusal("--token-file needs --host: the embedded stack makes its own tokens")
    path = Path(given)
    try:
        if not path.read_text(encoding="utf-8").strip():
            raise Refusal(f"--token-file {given} is empty")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise Refusal(f"--token-file {given}: {(reason or 'unreadable').lower()}") from None
    return path


def _metrics(given: str | None, host: str | None, *, allowed: bool) -> tuple[str, ...]:
    if not given:
        return ()
    if host is None:
        raise Refusal("--metrics needs --host: of the embedded stack all is known")
    urls = tuple(url.strip() for url in given.split(",") if url.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refusal(
                f"--metrics '{url}' is not an address: write e.g. http://host:9100/metrics"
            )
        if not allowed and not is_loopback(parts.hostname):
            raise Refusal(
                f"--metrics {parts.hostname} is not this machine: say --i-may-load-this-host"
            )
    return urls


def _joins_per_s(cap: str, host: str | None) -> float | None:
    match = _RATE.fullmatch(cap)
    if match is not None:
        return _per_s(match)
    if cap == "none" or host is None or is_loopback(urlsplit(host).hostname or ""):
        return None
    return FOREIGN_JOINS_PER_S


def _picture_every_s(samples: str, scenario: Scenario | None) -> float | None:
    match = _RATE.fullmatch(samples)
    if match is not None:
        return 1.0 / _per_s(match)
    for gate in () if scenario is None else scenario.gates:
        if METRICS[gate.metric].per is Per.FRAME:
            raise Refusal(
                f"--picture-samples none cannot go with the gate '{gate.id}' on {gate.metric}: "
                "it needs samples"
            )
    return None


def _check_load(options: Mapping[str, Any], settings: Settings) -> None:
    scenario = settings.scenario
    if scenario is None:
        return
    if settings.host is None:
        stack_config(scenario)
    cap = settings.joins_per_s
    if isinstance(scenario.load, ClosedLoad):
        if cap is not None and (options["spawn_rate"] or 0.0) > cap:
            raise Refusal(f"-r {options['spawn_rate']:g} is above the join-rate cap of {cap:g}/s")
        return
    clash = [
        flag
        for flag, name in (("-u", "num_users"), ("-r", "spawn_rate"), ("-t", "run_time"))
        if options[name] is not None
    ]
    if clash:
        model = scenario.load.model
        says = "its schedule says who arrives when" if model == "open" else "it searches for that"
        raise Refusal(
            f"{'/'.join(clash)} cannot go with the {model} scenario '{scenario.name}': {says}"
        )
    if isinstance(scenario.load, CapacityLoad):
        return
    try:
        peak = _peak_per_s(scenario, scenario.load)
    except ScenarioError as error:
        raise Refusal(str(error)) from None
    if cap is not None and peak > cap:
        raise Refusal(
            f"the scenario asks for up to {peak:g} joins/s, above the cap of {cap:g}/s: "
            "raise it with --join-rate-cap RATE, or lift it with none"
        )


def _peak_per_s(scenario: Scenario, load: OpenLoad) -> float:
    """The highest rate of the stages, or of any second of a trace; raises ScenarioError."""
    arrivals = schedule.arrivals(scenario)
    if load.arrivals.trace is None:
        return max(max(stage.rate_per_s, stage.end_rate_per_s) for stage in load.stages)
    seconds = Counter(int(arrival.at_s) for arrival in arrivals)
    return float(max(seconds.values(), default=0))
