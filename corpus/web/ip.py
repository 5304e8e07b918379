"""Which IP addresses belong to the public network: one table for the crawl and for personal data."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

# Addresses that public hosts cannot have, from the IANA special-purpose registries. They are listed here,
# because the results of Python's `is_global` changed between releases. 168.63.129.16 is a cloud's host agent.
_SPECIAL = [
    ip_network(net)
    for net in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
_GLOBAL6 = ip_network("2000::/3")  # all of IPv6 that is assigned: the rest is local, multicast or reserved
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def destination(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address maps to (IPv4-mapped, 6to4, NAT64), else the address."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def is_public(address: Address) -> bool:
    """Return whether an address can belong to a public host."""
    real = destination(address)
    if isinstance(real, IPv6Address) and real not in _GLOBAL6:
        return False
    return not any(real in net for net in _SPECIAL)
