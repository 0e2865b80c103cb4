"""Queueing formulas for a first guess: how many workers a load needs."""

from __future__ import annotations

import math


def erlang_b(load: float, servers: int) -> float:
    """Share of the arrivals that find all of ``servers`` busy and go; load in Erlang."""
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = load * blocked / (server + load * blocked)
    return blocked


def servers_for(load: float, blocked: float) -> int:
    """The fewest servers that turn away at most that share."""
    if load <= 0:
        return 0
    servers, found = 0, 1.0
    while found > blocked:
        servers += 1
        found = load * found / (servers + load * found)
    return servers


def base_stock(arrivals_per_s: float, lead_s: float, short: float) -> int:
    """The fewest spare workers so that at most that share of arrivals finds none spare.

    While one launch is under way others arrive; if every arrival takes a worker
    and has another one launched, the launches under way are Poisson. Workers
    that come back make it better, so this is from above.
    """
    mean = arrivals_per_s * lead_s
    term = math.exp(-mean) if mean < 700 else 0.0
    if term == 0.0:
        return math.ceil(mean + 4.0 * math.sqrt(mean))
    below, stock = 0.0, 0
    while 1.0 - below > short and stock < 10 * mean + 100:
        below += term
        stock += 1
        term *= mean / stock
    return stock
