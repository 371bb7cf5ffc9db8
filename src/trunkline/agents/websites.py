"""Websites, as agents allow them and as browsers attest them.

A website is the host of an origin, with its port where that isn't the scheme's own: `shop.example`,
`127.0.0.1:8710`. It is compared as a whole: a subdomain, another port or a look-alike is another website.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_WEBSITE = re.compile(rf"^({_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?$")
_BLANK = re.compile(r"[\s\x00-\x20\x7f]")
_OWN_PORTS = {"http": 80, "https": 443}


def website(value: str) -> str:
    """Normalise one entry of an allow-list: lower case, international names as punycode, no scheme, no path.

    Raises:
        ValueError: the value isn't a host with an optional port; wildcards are not accepted.
    """
    text = value.strip().lower()
    if "://" in text:
        found = website_of_origin(text.rstrip("/"))
        if found is None:
            raise ValueError(f"{value!r} is not a website: write its host, such as shop.example or localhost:3000")
        return found
    try:
        text = _ascii(text)
    except UnicodeError:
        text = ""
    if len(text) > 255 or not _WEBSITE.match(text):
        raise ValueError(f"{value!r} is not a website: write its host, such as shop.example or localhost:3000")
    return text


def website_of_origin(origin: str | None) -> str | None:
    """The website that a browser attests by its `Origin` header (RFC 6454); None for `null`, missing or malformed."""
    if not origin or len(origin) > 300 or _BLANK.search(origin):
        return None  # urlsplit would drop some blanks and read on
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _OWN_PORTS or not parts.hostname or parts.path or parts.query or parts.fragment:
        return None
    if "@" in parts.netloc or parts.netloc.endswith(":"):
        return None
    try:
        host = _ascii(parts.hostname.lower())
    except UnicodeError:
        return None
    host = f"[{host}]" if ":" in host else host
    found = host if port in (None, _OWN_PORTS[parts.scheme]) else f"{host}:{port}"
    return found if _WEBSITE.match(found) else None


def _ascii(host: str) -> str:
    """The host as a browser sends it: labels outside ASCII in punycode (RFC 3490)."""
    return host if host.isascii() else host.encode("idna").decode("ascii")
