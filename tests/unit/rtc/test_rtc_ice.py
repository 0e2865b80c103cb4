"""Which candidates may be used: a table of addresses, and what no configuration can lift."""

from __future__ import annotations

import ipaddress

import pytest

from system.media.rtc.ice import ALWAYS_DENIED, LOOPBACK, IceSettings, candidate_allowed

HOST = IceSettings()
BEHIND_FIREWALL = IceSettings(denied_networks=("10.0.0.0/8", "192.168.0.0/16", "fc00::/7"))

NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "224.0.0.251",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::fb",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "::ffff:0.0.0.0",
    "2002:a9fe:a9fe::1",  # 6to4 of 169.254.169.254
    "64:ff9b::a9fe:a9fe",  # NAT64 of it
    "3f2c1d5e-11aa-4f00-9d2c-7a3b1c5d9e0f.local",
    "metadata.internal",
    "localhost",
    "",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "10.0.0.1 ",
    "10.0.0.1\n",
    "[::1]",
]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize(
    "settings", [HOST, LOOPBACK, BEHIND_FIREWALL, IceSettings(denied_networks=())]
)
def test_some_addresses_are_refused_whatever_is_configured(
    settings: IceSettings, address: str
) -> None:
    assert not candidate_allowed(settings, address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_used_only_where_loopback_is_gathered(address: str) -> None:
    assert candidate_allowed(LOOPBACK, address)
    assert not candidate_allowed(HOST, address)
    assert not candidate_allowed(IceSettings(addresses=("192.0.2.1",)), address)


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "10.1.1.1", "2001:db8::1"])
def test_nothing_but_loopback_is_used_where_only_loopback_is_gathered(address: str) -> None:
    assert not candidate_allowed(LOOPBACK, address)
    assert candidate_allowed(HOST, address)
    both = IceSettings(addresses=("127.0.0.1", "192.0.2.7"))
    assert candidate_allowed(both, address)
    assert candidate_allowed(both, "127.0.0.1")


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "10.255.255.255", "192.168.1.1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_a_deployment_may_deny_networks_of_its_own(address: str) -> None:
    assert candidate_allowed(HOST, address)
    assert not candidate_allowed(BEHIND_FIREWALL, address)
    assert candidate_allowed(BEHIND_FIREWALL, "172.15.0.1")


def test_none_of_500_addresses_of_the_denied_networks_is_used() -> None:
    checked = 0
    for text in ALWAYS_DENIED:
        network = ipaddress.ip_network(text)
        step = max(1, network.num_addresses // 64)
        for offset in range(0, min(network.num_addresses, 64 * step), step):
            address = network[offset]
            forms = [str(address)]
            if address.version == 4:
                forms.append(f"::ffff:{address}")
            for form in forms:
                checked += 1
                assert not candidate_allowed(HOST, form), form
    assert checked >= 500


@pytest.mark.parametrize(
    "options",
    [
        {"addresses": ("localhost",)},
        {"announced_address": "example.org"},
        {"denied_networks": ("10.0.0.0/33",)},
        {"port_range": (0, 10)},
        {"port_range": (2000, 1999)},
        {"port_range": (2000, 70000)},
    ],
)
def test_settings_that_cannot_work_are_refused_when_made(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        IceSettings(**options)  # type: ignore[arg-type]
