"""Logs as JSON lines on standard error: one event a line, named ``noun.verb``, with its fields."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

import msgspec

SECRET_FIELDS: Final = frozenset(
    {"sdp", "token", "resume_token", "secret", "password", "credential", "authorization", "offer"}
)
"""Fields whose values never reach a log, should somebody pass one."""

_MAX_TEXT: Final = 2000
_encoder = msgspec.json.Encoder(enc_hook=str)


class EventLog:
    """Writes events of one module: ``log.info("worker.started", worker_id=...)``."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: Any) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, error: BaseException, **fields: Any) -> None:
        """An error at a boundary, with its traceback in one field."""
        self._logger.error(event, extra={"fields": fields}, exc_info=error)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        self._logger.log(level, event, extra={"fields": fields})


def get(name: str) -> EventLog:
    """The event log of a module; pass ``__name__``."""
    return EventLog(logging.getLogger(name))


class JsonFormatter(logging.Formatter):
    """One record as one JSON object; records of other libraries become ``log.message``."""

    def __init__(self, role: str, node: str) -> None:
        super().__init__()
        self._origin = {"role": role, "node": node}

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._origin,
        }
        if fields is None:
            line |= {
                "event": "log.message",
                "logger": record.name,
                "message": record.getMessage()[:_MAX_TEXT],
            }
        else:
            line["event"] = record.msg
            line |= {k: "[removed]" if k in SECRET_FIELDS else v for k, v in fields.items()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-_MAX_TEXT:]
        return _encoder.encode(line).decode()


def configure(role: str, node: str = "", level: str = "info") -> None:
    """Send every record of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role, node))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiohttp.access", "asyncio", "aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
