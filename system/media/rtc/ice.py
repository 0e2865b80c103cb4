"""Which local addresses ICE may gather and which remote ones it may use. Pure values."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass

from system.protocol.fields import IceServer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ALWAYS_DENIED: tuple[str, ...] = (
    "0.0.0.0/8",  # unspecified, "this network"
    "169.254.0.0/16",  # link-local, with the metadata service of most clouds
    "224.0.0.0/4",  # multicast
    "255.255.255.255/32",  # broadcast
    "::/128",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",  # metadata service over IPv6
)
"""Networks whose candidates are refused whatever the configuration says."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Where the media of a connection may come from and go to.

    ``addresses``: local addresses to gather; None is every address of the host
    but loopback. Remote loopback candidates are used only where a loopback
    address is gathered, and nothing else where only loopback is.
    ``port_range``: first and last UDP port; None lets the system choose.
    ``announced_address``: written into the candidates in place of the local
    address (one-to-one NAT).
    """

    addresses: tuple[str, ...] | None = None
    port_range: tuple[int, int] | None = None
    announced_address: str | None = None
    servers: tuple[IceServer, ...] = ()
    denied_networks: tuple[str, ...] = ALWAYS_DENIED

    def __post_init__(self) -> None:
        for address in (*(self.addresses or ()), *filter(None, [self.announced_address])):
            ipaddress.ip_address(address)
        for network in self.denied_networks:
            ipaddress.ip_network(network)
        if self.port_range is not None:
            low, high = self.port_range
            if not 1 <= low <= high <= 65535:
                raise ValueError(f"port range {low}-{high} is not within 1-65535")


LOOPBACK = IceSettings(addresses=("127.0.0.1",))
"""Loopback alone: for the embedded stack, demos, tests and benchmarks."""


def candidate_allowed(settings: IceSettings, candidate_ip: str) -> bool:
    """Whether packets may be sent to a candidate that a peer named.

    Names (``.local`` among them) and scoped addresses are refused: nothing is
    resolved. IPv4 inside IPv6 (mapped, 6to4, NAT64) is judged as both.
    """
    try:
        address = ipaddress.ip_address(candidate_ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    return all(_allowed(settings, each) for each in _readings(address))


def _readings(address: Address) -> tuple[Address, ...]:
    """The address and the IPv4 addresses that it may stand for."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address in _NAT64:
        return (address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return (address,)


def _allowed(settings: IceSettings, address: Address) -> bool:
    gathers_loopback = _any_loopback(settings.addresses)
    if address.is_loopback != gathers_loopback and (
        address.is_loopback or _all_loopback(settings.addresses)
    ):
        return False
    denied = _networks(settings.denied_networks)
    return not any(address in network for network in denied)


@functools.cache
def _any_loopback(addresses: tuple[str, ...] | None) -> bool:
    return any(ipaddress.ip_address(each).is_loopback for each in addresses or ())


@functools.cache
def _all_loopback(addresses: tuple[str, ...] | None) -> bool:
    return bool(addresses) and all(ipaddress.ip_address(a).is_loopback for a in addresses or ())


@functools.cache
def _networks(denied: tuple[str, ...]) -> tuple[Network, ...]:
    """ALWAYS_DENIED cannot be configured away."""
    return tuple(ipaddress.ip_network(each) for each in (*ALWAYS_DENIED, *denied))
