"""Addresses on the web."""
from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

_SCHEMES = ('http://', 'https://')
_NAT64 = ip_network('64:ff9b::/96')  # holds every address of IPv4, private ones too
_UNICAST = ip_network('2000::/3')  # all of IPv6 that was given to anybody


def is_url(name: str) -> bool:
    """Whether a name is the address of something on the web.

    Args:
        name: of a file or an address.
    """
    return name.lower().startswith(_SCHEMES)


def is_public(host: str) -> bool:
    """Whether an address of a machine is one that can be reached from anywhere.

    Args:
        host: in numbers, of IPv4 or IPv6.
    """
    address = ip_address(host.partition('%')[0])
    inner = getattr(address, 'ipv4_mapped', None) or getattr(address, 'sixtofour', None)
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xffffffff)
    if inner is None and address.version == 6 and address not in _UNICAST:  # other ways to write IPv4 among them
        return False
    return address.is_global and not address.is_multicast and (inner is None or inner.is_global)
