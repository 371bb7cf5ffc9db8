"""Websites, as agents allow them and as browsers attest them.

A website is the host of an origin, with its port where that isn't the scheme's own: `shop.example`,
`127.0.0.1:8710`. It is compared as a whole: a subdomain, another port or a look-alike is another website.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

import idna

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PLACE = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::(.*))?", re.DOTALL)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_OWN_PORTS = {"http": 80, "https": 443}
_LONGEST = 253
"""Most characters of a host's name (RFC 1035)."""


def website(value: str) -> str:
    """Normalise one entry of an allow-list: lower case, international names as punycode, no scheme, no path.

    Raises:
        ValueError: the value isn't a host with an optional port; wildcards are not accepted.
    """
    scheme, is_address, rest = value.strip().rpartition("://")
    try:
        if not is_address:
            return _site(rest, None)
        return _site(rest.removesuffix("/"), _OWN_PORTS.get(scheme.lower(), 0))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a website: {error}") from None


def website_of_origin(origin: str | None) -> str | None:
    """The website that a browser attests by its `Origin` header (RFC 6454); None for `null`, missing or malformed.

    Browsers send international names as punycode: what isn't ASCII was sent by something else.
    """
    scheme, is_origin, rest = (origin or "").partition("://")
    if not is_origin or not rest.isascii():
        return None
    try:
        return _site(rest, _OWN_PORTS.get(scheme.lower(), 0))
    except ValueError:
        return None


def _site(place: str, own_port: int | None) -> str:
    """Host and port as browsers write them; `own_port` is left out, and 0 stands for a scheme that has no websites.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence.
    """
    found = _PLACE.fullmatch(place)
    if found is None or own_port == 0:
        raise ValueError(_HOW)
    host, port = found.groups()
    name = _ipv6(host[1:-1]) if host.startswith("[") else _name(host)
    if port is None:
        return name
    if not _PORT.fullmatch(port) or int(port) > 65_535:
        raise ValueError("its port must be a number from 1 to 65535 without zeros before it")
    return name if int(port) == own_port else f"{name}:{port}"


_HOW = "write its host, such as shop.example or localhost:3000"


def _name(host: str) -> str:
    try:
        # As browsers do it (UTS 46, non-transitional): the older IDNA 2003 makes another domain of some names.
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True, transitional=False).decode("ascii")
    except UnicodeError:
        raise ValueError(
            f"{_HOW}. This name has no international form; its punycode (xn--…) is taken as it is"
        ) from None
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(_HOW)
    return name


def _ipv6(text: str) -> str:
    """The one form that browsers send (WHATWG URL, 3.5): shortened, and no IPv4 in it."""
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("what is in brackets must be an IPv6 address, such as [::1]:3000") from None
    if address.scope_id is not None:
        raise ValueError("an address with a zone (%) is this machine's own affair")
    mapped = address.ipv4_mapped
    return f"[::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}]" if mapped else f"[{address}]"
