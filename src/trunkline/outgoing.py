"""The one HTTP client for addresses that somebody else chose: model servers, webhooks, tools.

A tenant's URL must not reach what only this machine can reach. So the client resolves names itself, refuses a name of
which any address is private, and connects to the address that it checked: there is no second look-up that could
answer differently. Names stay what TLS verifies and what the `Host` header says. Every hop of a redirect goes through
the same checks. Proxies and other settings of the environment are not used.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, cast

import httpcore2
import httpx2
from httpcore2 import SOCKET_OPTION, AnyIOBackend, AsyncConnectionPool, AsyncNetworkBackend, AsyncNetworkStream
from typing_extensions import override

from trunkline.errors import SetupError, TrunklineError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a host and a port, returns its addresses; raises `OSError` where there are none."""

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

# Python's own `is_global` differs between versions and leaves gaps (3.11: 192.88.99.0/24, fec0::/10, 64:ff9b::/96), so
# the registries of IANA for special-purpose addresses are written out.
_REFUSED_IPV4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network; 0.0.0.0 is the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, a public address that never leaves it
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # Oracle's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")  # all that is routed; what lies outside is refused as a whole
_REFUSED_IPV6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocols, Teredo among them: it holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4: it holds an IPv4 address
        "3fff::/20",
    )
)
_CORE_ERRORS = (
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.UnsupportedProtocol,
)
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
"""A name that a resolver may be asked for, in ASCII."""
_MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


class OutgoingRefused(TrunklineError):
    """The request may not leave this server, or its response is larger than accepted. Says which and why."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "outgoing_refused"
    title: ClassVar[str] = "The address may not be called"


@dataclass(frozen=True, slots=True)
class OutgoingPolicy:
    """What requests may reach, and how much they may bring back.

    Raises:
        SetupError: an entry of the allow-list cannot be read.
    """

    allow: frozenset[str] = frozenset()
    """What may be called although it is private: a host, an address, a network (`10.1.0.0/16`), each with or without
    a port (`models.internal:8000`, `[fd00::5]:8000`)."""
    max_response_bytes: int = 16 * 1024 * 1024
    """Longest body of a response, also of a stream, in bytes."""
    connect_timeout_s: float = 10.0
    """For the look-up of the name and for the connection, each, in seconds."""
    read_timeout_s: float = 60.0
    """Longest silence of the other side, in seconds."""

    def __post_init__(self) -> None:
        """Read the entries once, so that a wrong one is found where it is written and not by a turn."""
        for entry in sorted(self.allow):
            _read_allowance(entry)


@dataclass(frozen=True, slots=True)
class _Allowance:
    """One entry of the allow-list."""

    target: str | _Network
    port: int | None

    def covers_name(self, host: str, port: int) -> bool:
        return self.target == host and self.port in (None, port)

    def covers_address(self, address: _Address, port: int) -> bool:
        return (
            not isinstance(self.target, str)
            and address.version == self.target.version
            and address in self.target
            and self.port in (None, port)
        )


def guarded_client(policy: OutgoingPolicy, *, resolver: Resolver | None = None) -> httpx2.AsyncClient:
    """A client that reaches public addresses and what the policy allows. Close it when done.

    Its requests raise `OutgoingRefused` beside the errors of httpx2. It follows no redirect unless a request asks for
    it. `resolver` replaces the system's look-up of names.
    """
    timeout = httpx2.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s)
    return httpx2.AsyncClient(
        transport=GuardedTransport(policy, resolver or resolve),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    )


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Checks each request, each hop of a redirect included, and bounds each response."""

    def __init__(self, policy: OutgoingPolicy, resolver: Resolver) -> None:
        self._max_response_bytes = policy.max_response_bytes
        self._pool = AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=1000,
            max_keepalive_connections=50,
            keepalive_expiry=30.0,
            network_backend=_PinningBackend(policy, resolver),
        )

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_url(request.url)
        # A compressed body may be small on the wire and huge in memory: it is not asked for, and not accepted.
        request.headers["Accept-Encoding"] = "identity"
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError("A guarded client sends asynchronous bodies only.")
        raw = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors_of_httpx():
            response = await self._pool.handle_async_request(raw)
        stream = _BoundedStream(response, request.url.host, self._max_response_bytes)
        headers = httpx2.Headers(response.headers)
        try:
            _check_encoding(request.url.host, headers)
        except OutgoingRefused:
            await stream.aclose()
            raise
        return httpx2.Response(
            response.status, headers=headers, stream=stream, extensions=cast("dict[str, Any]", response.extensions)
        )

    @override
    async def aclose(self) -> None:
        await self._pool.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """A response's body up to a size."""

    def __init__(self, response: httpcore2.Response, host: str, limit: int) -> None:
        self._response = response
        self._host = host
        self._limit = limit
        self._received = 0

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Not `aiter_stream()`, which refuses a second loop: OpenAI's library reads on to the end in one.
        parts = cast("AsyncIterable[bytes]", self._response.stream)
        with _errors_of_httpx():
            async for part in parts:
                self._received += len(part)
                if self._received > self._limit:
                    raise OutgoingRefused(
                        f"The response of '{self._host}' is longer than the {self._limit} bytes that are accepted."
                    )
                yield part

    @override
    async def aclose(self) -> None:
        await self._response.aclose()


class _PinningBackend(AsyncNetworkBackend):
    """Resolves, checks, and connects to exactly the address that was checked."""

    def __init__(self, policy: OutgoingPolicy, resolver: Resolver) -> None:
        self._allowances = [_read_allowance(entry) for entry in sorted(policy.allow)]
        self._resolver = resolver
        self._backend = AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._checked_addresses(host, port, timeout):
            try:
                return await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"'{host}' has no address.")

    @override
    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        raise OutgoingRefused("A socket file may not be called.")

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _checked_addresses(self, host: str, port: int, seconds: float | None) -> list[_Address]:
        name = host.rstrip(".").lower()
        try:
            async with asyncio.timeout(seconds):
                found = await self._resolver(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"The name '{host}' was not resolved in time.") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError(f"The name '{host}' cannot be resolved.") from None
        addresses = [_read_address(text) for text in dict.fromkeys(found)]
        if any(allowance.covers_name(name, port) for allowance in self._allowances):
            return addresses
        for address in addresses:
            self._check(host, address, port)
        return addresses

    def _check(self, host: str, address: _Address, port: int) -> None:
        if is_public(address) or any(allowance.covers_address(address, port) for allowance in self._allowances):
            return
        raise OutgoingRefused(
            f"'{host}' is, or leads to, an address that is not on the public internet, so it may not be called. "
            "The operator can allow it: TRUNKLINE_OUTGOING_ALLOW=host:port."
        )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is on the public internet, judged by the IPv4 address inside it where it carries one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_IPV4)
    if address in _MAPPED_IPV4 or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_IPV6 and not any(address in network for network in _REFUSED_IPV6)


def _check_url(url: httpx2.URL) -> None:
    if url.scheme not in {"http", "https"}:
        raise OutgoingRefused(f"Only http and https addresses may be called, not '{url.scheme[:20]}'.")
    if url.userinfo:
        raise OutgoingRefused(f"The address of '{url.host}' has a user name or password in it. Remove it.")
    if not url.host:
        raise OutgoingRefused("The address has no host.")


def _check_encoding(host: str, headers: httpx2.Headers) -> None:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise OutgoingRefused(f"'{host}' compressed its response ({encoding[:20]}), which was not asked for.")


def _read_address(text: str) -> _Address:
    try:
        return ip_address(text)
    except ValueError:
        raise httpcore2.ConnectError(f"The resolver answered '{text[:60]}', which is no address.") from None


def _read_allowance(entry: str) -> _Allowance:
    host, port = _split_port(entry.strip().lower())
    with suppress(ValueError):
        return _Allowance(ip_network(host), port)
    if not _HOST.fullmatch(host):  # so neither is a network with bits of a host in it
        raise SetupError(
            f"The entry '{entry[:100]}' of TRUNKLINE_OUTGOING_ALLOW is not usable. "
            "Write a host, an address or a network, each with or without a port: models.internal:8000, 10.1.0.0/16."
        )
    return _Allowance(host.rstrip("."), port)


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    if not port:
        return host, None
    is_port = port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= 65_535
    return (host, int(port)) if is_port else ("", None)


@contextmanager
def _errors_of_httpx() -> Generator[None]:
    """Turn an error of httpcore2 into the one of httpx2 with the same name: its users know only those."""
    try:
        yield
    except _CORE_ERRORS as error:
        raise getattr(httpx2, type(error).__name__, httpx2.TransportError)(str(error)) from error
