"""The OpenAPI 3.1 description of the orchestrator, from the message structs themselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from system.protocol import limits
from system.protocol import messages as m

MAX_DIGITS: Final = 9
"""Of a whole number in a query."""

_WHOLE: Final = {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1}

_SCHEMAS, _COMPONENTS = msgspec.json.schema_components(
    [
        m.AllocateRequest,
        m.Allocated,
        m.Ticket,
        m.Refused,
        m.ReleaseRequest,
        m.PoolPatch,
        list[m.PoolView],
        list[m.WorkerView],
        m.PoolView,
    ],
    ref_template="#/components/schemas/{name}",
)
_ALLOCATE, _ALLOCATED, _TICKET, _REFUSED, _RELEASE, _PATCH, _POOLS, _WORKERS, _POOL = _SCHEMAS


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answers(**by_status: dict[str, Any] | None) -> dict[str, Any]:
    """Responses by ``s<status>``; a schema, or None for an empty body."""
    texts = {"200": "done", "202": "waiting", "204": "done"}
    answers: dict[str, Any] = {
        "default": {"description": "refused", "content": _json(_REFUSED)},
    }
    for name, schema in by_status.items():
        status = name.removeprefix("s")
        answers[status] = {"description": texts[status]}
        if schema is not None:
            answers[status]["content"] = _json(schema)
    return answers


def _operation(
    summary: str,
    answers: dict[str, Any],
    *,
    body: dict[str, Any] | None = None,
    path: str = "",
    query: tuple[str, ...] = (),
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "security": [{"service": []}],
        "responses": answers,
        "parameters": [
            *([_parameter(path, "path", {"type": "string"})] if path else []),
            *(_parameter(name, "query", _WHOLE) for name in query),
        ],
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _open(summary: str, kind: str, *statuses: str) -> dict[str, Any]:
    """A GET that needs no token: it says nothing about sessions."""
    content = {kind: {"schema": {"type": "object" if kind.endswith("json") else "string"}}}
    answers = {status: {"description": summary, "content": content} for status in statuses}
    return {"get": {"summary": summary, "security": [], "responses": answers}}


DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Remote Render orchestrator", "version": str(limits.PROTOCOL_VERSION)},
    "paths": {
        "/allocate": {
            "post": _operation(
                "A worker for a session: reserved at once, or a ticket for the queue.",
                _answers(s200=_ALLOCATED, s202=_TICKET),
                body=_ALLOCATE,
            )
        },
        "/tickets/{ticket}": {
            "get": _operation(
                "Wait for a ticket's worker, until its position differs or waitMs have passed.",
                _answers(s200=_ALLOCATED, s202=_TICKET),
                path="ticket",
                query=("waitMs", "position"),
            ),
            "delete": _operation("Leave the queue.", _answers(s204=None), path="ticket"),
        },
        "/release": {
            "post": _operation(
                "End a session and free its slot; repeating it is harmless.",
                _answers(s204=None),
                body=_RELEASE,
            )
        },
        "/workers": {"get": _operation("All workers.", _answers(s200=_WORKERS))},
        "/workers/{worker_id}/drain": {
            "post": _operation(
                "Take a worker out of service once its last session has ended.",
                _answers(s204=None),
                path="worker_id",
                query=("deadlineMs",),
            )
        },
        "/pools": {"get": _operation("All pools.", _answers(s200=_POOLS))},
        "/pools/{name}": {
            "patch": _operation(
                "Change a pool's policy or quota.", _answers(s200=_POOL), body=_PATCH, path="name"
            )
        },
        "/livez": _open("The process turns.", "text/plain", "200"),
        "/readyz": _open("It can take work.", "text/plain", "200", "503"),
        "/health": _open("The state of its parts.", "application/json", "200", "503"),
        "/metrics": _open("Prometheus metrics.", "text/plain", "200"),
        "/openapi.json": _open("This document.", "application/json", "200"),
    },
    "components": {
        "schemas": _COMPONENTS,
        "securitySchemes": {"service": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
    },
}
