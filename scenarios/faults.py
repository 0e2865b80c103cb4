"""What goes wrong on purpose in a run, and the network between viewers and workers."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from scenarios.fields import Chance, Name, PositiveSeconds, Seconds, Strict, problems


class Network(Strict):
    """The path of every viewer: added round trip, its variation, loss each way."""

    rtt_s: Seconds = Field(default=0.0, alias="rtt")
    jitter_s: Seconds = Field(default=0.0, alias="jitter")
    loss: Chance = 0.0


class _Fault(Strict):
    at_s: Seconds = Field(alias="at")


class _WorkerFault(_Fault):
    target: Literal["random", "busy", "idle", "all"] = "random"
    """Any worker, one with a session, one without, or each."""
    pool: Name | None = None


class WorkerKill(_WorkerFault):
    """A worker dies at once and says nothing."""

    kind: Literal["worker_kill"]


class WorkerHang(_WorkerFault):
    """A worker stops answering, for good or for so long."""

    kind: Literal["worker_hang"]
    for_s: PositiveSeconds | None = Field(default=None, alias="for")


class SignalingRestart(_Fault):
    """A signaling node, or every one, ends and comes back after so long."""

    kind: Literal["signaling_restart"]
    target: Literal["random", "all"] = "random"
    for_s: Seconds = Field(default=0.0, alias="for")


class StoreOutage(_Fault):
    """Nobody reaches the store."""

    kind: Literal["store_outage"]
    for_s: PositiveSeconds = Field(alias="for")


class Partition(_Fault):
    """One process is cut off from the others: packets vanish, connections stay open.

    A worker is cut off from signaling, a signaling node or orchestrator from the store.
    """

    kind: Literal["partition"]
    target: Literal["worker", "signaling", "orchestrator"] = "worker"
    for_s: PositiveSeconds = Field(alias="for")


class NetworkFault(_Fault):
    """Another network for a while: for all viewers, or for one of those in session."""

    kind: Literal["network"]
    target: Literal["all", "random"] = "all"
    for_s: PositiveSeconds = Field(alias="for")
    rtt_s: Seconds | None = Field(default=None, alias="rtt")
    jitter_s: Seconds | None = Field(default=None, alias="jitter")
    loss: Chance | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> NetworkFault:
        if self.rtt_s is None and self.jitter_s is None and self.loss is None:
            raise problems([((), "needs `rtt`, `jitter` or `loss`")])
        return self

    def over(self, usual: Network) -> Network:
        """The network while the fault lasts; what it does not name stays as usual."""
        return Network.model_construct(
            rtt_s=usual.rtt_s if self.rtt_s is None else self.rtt_s,
            jitter_s=usual.jitter_s if self.jitter_s is None else self.jitter_s,
            loss=usual.loss if self.loss is None else self.loss,
        )


Fault: TypeAlias = Annotated[
    WorkerKill | WorkerHang | SignalingRestart | StoreOutage | Partition | NetworkFault,
    Field(discriminator="kind"),
]
