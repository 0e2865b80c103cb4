"""The embedded all-in-one stack."""

from system.stack.config import PoolConfig, StackConfig, StreamConfig
from system.stack.embedded import EmbeddedStack
from system.stack.errors import StackError
from system.stack.pools import PoolCounts, ProcessUse, Snapshot

__all__ = [
    "EmbeddedStack",
    "PoolConfig",
    "PoolCounts",
    "ProcessUse",
    "Snapshot",
    "StackConfig",
    "StackError",
    "StreamConfig",
]
