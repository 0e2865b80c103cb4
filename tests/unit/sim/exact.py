"""Exact answers for small pools, worked out without a line of the simulator.

Markov chains are solved numerically: states are found by walking from the
empty pool, the balance equations are a linear system, and time-varying rates
are integrated. Formulas are those of Erlang and of queues with renewal
arrivals. Times are in any one unit.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.sparse.linalg
import scipy.stats

State = tuple[int, ...]
Moves = Iterable[tuple[State, float]]


def walk(
    first: State, moves: Callable[[State], Moves]
) -> tuple[list[State], scipy.sparse.csr_array]:
    """States that can be reached, and the generator matrix of the chain on them."""
    index = {first: 0}
    todo = deque([first])
    rates: list[tuple[int, int, float]] = []
    while todo:
        state = todo.popleft()
        for other, rate in moves(state):
            if rate > 0 and other != state:
                if other not in index:
                    index[other] = len(index)
                    todo.append(other)
                rates.append((index[state], index[other], rate))
    table = np.array(rates)
    one, other = table[:, 0].astype(int), table[:, 1].astype(int)
    size = (len(index), len(index))
    flow = scipy.sparse.coo_array((table[:, 2], (one, other)), shape=size)
    out = scipy.sparse.coo_array((table[:, 2], (one, one)), shape=size)
    return list(index), (flow - out).tocsr()


def stationary(generator: scipy.sparse.csr_array) -> np.ndarray:
    """Shares of time: balance in all states but the first, whose weight is set to 1."""
    balance = generator.T.tocsc()
    rest = scipy.sparse.linalg.spsolve(balance[1:, 1:], -balance[1:, [0]].toarray().ravel())
    weights = np.concatenate([[1.0], rest])
    return weights / weights.sum()


@dataclass(frozen=True)
class Answer:
    """What a pool does in the long run; ``wait_time`` is over all arrivals."""

    waits: float
    abandons: float
    wait_time: float
    ready: float
    booting: float
    busy: float


@dataclass(frozen=True)
class WarmPool:
    """One slot a worker; a buffer of ``warm`` decides on every event; exponential times.

    ``patience`` 0 is a rate of leaving at once: nobody waits. ``reuse`` False
    lets a worker go with its session. ``fails`` is the rate at which each ready
    or busy worker dies, its session with it.
    """

    arrivals: float
    session: float
    boot: float
    patience: float
    warm: int
    most: int
    reuse: bool = True
    loss: bool = False
    fails: float = 0.0
    boot_fails: float = 0.0
    queue: int = 40

    def settled(self, idle: int, booting: int, busy: int, waiting: int) -> State:
        """What sessions and the policy make of a state at once."""
        while idle and waiting:
            idle, busy, waiting = idle - 1, busy + 1, waiting - 1
        while idle + booting - waiting < self.warm and idle + booting + busy < self.most:
            booting += 1
        return min(idle, max(self.warm, 0)), booting, busy, waiting

    def moves(self, state: State) -> Iterator[tuple[State, float]]:
        idle, booting, busy, waiting = state
        settled = self.settled
        if idle:
            yield settled(idle - 1, booting, busy + 1, waiting), self.arrivals
        elif not self.loss and waiting < self.queue:
            yield settled(idle, booting, busy, waiting + 1), self.arrivals
        back = 1 if self.reuse else 0
        yield settled(idle + back, booting, busy - 1, waiting), self.session * busy
        up = self.boot * booting
        yield settled(idle + 1, booting - 1, busy, waiting), up * (1 - self.boot_fails)
        yield settled(idle, booting - 1, busy, waiting), up * self.boot_fails
        yield settled(idle, booting, busy, waiting - 1), self.patience * waiting
        yield settled(idle - 1, booting, busy, waiting), self.fails * idle
        yield settled(idle, booting, busy - 1, waiting), self.fails * busy

    def solve(self) -> Answer:
        first = self.settled(self.warm, 0, 0, 0) if self.most >= self.warm else (0, 0, 0, 0)
        states, generator = walk(first, lambda state: [m for m in self.moves(state) if m[1] > 0])
        share = stationary(generator)
        table = np.array(states)
        idle, booting, busy, waiting = table.T
        queued = float(share @ waiting)
        none = float(share[idle == 0].sum())
        lost = none if self.loss else queued * self.patience / self.arrivals
        return Answer(
            waits=none,
            abandons=lost,
            wait_time=0.0 if self.loss else queued / self.arrivals,
            ready=float(share @ idle),
            booting=float(share @ booting),
            busy=float(share @ busy),
        )


def erlang_b(load: float, servers: int) -> float:
    """Share of arrivals that find all servers busy, where such arrivals are lost."""
    weights = scipy.stats.poisson.pmf(np.arange(servers + 1), load)
    return float(weights[-1] / weights.sum())


def erlang_c(load: float, servers: int) -> float:
    """Share of arrivals that wait, where nobody leaves."""
    blocked = erlang_b(load, servers)
    return blocked / (1 - load / servers * (1 - blocked))


def erlang_c_wait(arrivals: float, session: float, servers: int) -> tuple[float, float, float]:
    """P(wait), mean wait over all, 95th percentile of the wait; ``session`` is a mean."""
    waits = erlang_c(arrivals * session, servers)
    drain = servers / session - arrivals
    tail = math.log(waits / 0.05) / drain if waits > 0.05 else 0.0
    return waits, waits / drain, tail


def erlang_a(arrivals: float, session: float, patience: float, servers: int) -> Answer:
    """A birth-death chain: sessions served and waiting; ``session`` and ``patience`` are means."""
    many = servers + 2000
    birth = np.full(many, arrivals)
    count = np.arange(1, many + 1)
    death = np.minimum(count, servers) / session + np.maximum(count - servers, 0) / patience
    logs = np.concatenate([[0.0], np.cumsum(np.log(birth) - np.log(death))])
    share = np.exp(logs - logs.max())
    share /= share.sum()
    n = np.arange(many + 1)
    queued = float(share @ np.maximum(n - servers, 0))
    busy = float(share @ np.minimum(n, servers))
    waits = float(share[servers:].sum())
    return Answer(waits, queued / patience / arrivals, queued / arrivals, servers - busy, 0.0, busy)


def renewal_wait(
    transform: Callable[[float], float], session: float, servers: int
) -> tuple[float, float]:
    """P(wait) and mean wait of GI/M/c; ``transform`` is of the gaps between arrivals.

    Solved on the chain that arrivals see: the number in the system just before
    each. (Takács; with one server the root alone is the answer.)
    """
    rate = 1.0 / session
    root = scipy.optimize.brentq(lambda x: transform(servers * rate * (1 - x)) - x, 1e-12, 1 - 1e-9)
    # Takács 1962: P(wait) = A / (1 - root) with A from the transforms at k * rate.
    total, product = 0.0, 1.0
    for k in range(1, servers + 1):
        value = transform(k * rate)
        product *= value / (1 - value)
        total += (
            math.comb(servers, k)
            / (product * (1 - value))
            * (servers * (1 - value) - k)
            / (servers * (1 - root) - k)
        )
    factor = 1.0 / (1.0 / (1.0 - root) + total)
    waits = factor / (1.0 - root)
    return waits, waits / (servers * rate * (1.0 - root))


def transient(
    rate: Callable[[float], float], session: float, servers: int, end: float, room: int
) -> tuple[float, float, float]:
    """M_t/M/c from an empty pool: P(wait) over arrivals, mean queue and mean busy over time.

    ``room`` bounds the number in the system; equal to ``servers`` it is a loss system.
    """
    n = np.arange(room + 1)
    death = np.minimum(n, servers) / session

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        p, now = state[: room + 1], rate(t)
        up = now * p
        up[-1] = 0.0
        down = death * p
        change = -up - down
        change[1:] += up[:-1]
        change[:-1] += down[1:]
        full = p[servers:].sum()
        more = [now * full, now, p @ np.maximum(n - servers, 0), p @ np.minimum(n, servers)]
        return np.concatenate([change, more])

    start = np.zeros(room + 5)
    start[0] = 1.0
    steps = np.linspace(0, end, 401)
    found = scipy.integrate.solve_ivp(
        slope,
        (0, end),
        start,
        method="LSODA",
        t_eval=steps,
        rtol=1e-8,
        atol=1e-10,
        max_step=end / 200,
    ).y[:, -1]
    late, came, queue, busy = found[room + 1 :]
    return late / came, queue / end, busy / end


def first_come_first_served(at: np.ndarray, length: np.ndarray, servers: int) -> np.ndarray:
    """Waits of recorded sessions on servers that are always there."""
    free = [0.0] * servers
    waits = np.empty(len(at))
    for index, (now, stays) in enumerate(zip(at, length, strict=True)):
        begins = max(now, heapq.heappop(free))
        waits[index] = begins - now
        heapq.heappush(free, begins + stays)
    return waits


def turned_away(at: np.ndarray, length: np.ndarray, servers: int) -> np.ndarray:
    """Which of recorded sessions find no server free, where nobody waits."""
    ends: list[float] = []
    away = np.zeros(len(at), dtype=bool)
    for index, (now, stays) in enumerate(zip(at, length, strict=True)):
        del ends[: bisect.bisect_right(ends, now)]
        away[index] = len(ends) >= servers
        if not away[index]:
            bisect.insort(ends, now + stays)
    return away
