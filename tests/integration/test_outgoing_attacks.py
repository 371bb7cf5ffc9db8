"""Attempts to reach this machine through the guarded client, against servers that really listen on it."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.factories.loopback import Loopback, Request, respond, serve

from trunkline.outgoing import OutgoingPolicy, OutgoingRefused, Resolver, guarded_client

PUBLIC_ADDRESS = "93.184.215.14"


@asynccontextmanager
async def client(
    *allow: str, resolver: Resolver | None = None, max_response_bytes: int = 1_000_000
) -> AsyncGenerator[httpx2.AsyncClient]:
    policy = OutgoingPolicy(
        allow=frozenset(allow), max_response_bytes=max_response_bytes, connect_timeout_s=2, read_timeout_s=5
    )
    async with guarded_client(policy, resolver=resolver) as guarded:
        yield guarded


@asynccontextmanager
async def secret_server() -> AsyncGenerator[Loopback]:
    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 200, b"secret")

    async with serve(handler) as server:
        yield server


def answers(*rounds: Sequence[str]) -> Resolver:
    """A resolver that answers each question with the next of these lists; the last one repeats."""
    left = list(rounds)

    async def resolver(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolver


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}1",
        "169.254.169.254",
        "2852039166",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
async def test_no_notation_of_a_private_address_is_called(host: str) -> None:
    async with secret_server() as server, client() as guarded:
        with pytest.raises(OutgoingRefused, match="not on the public internet"):
            await guarded.get(f"http://{host}:{server.port}/")
        assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1.", "0177.0.0.1", "localhost.", "exa%6dple", "[fe80::1%25lo]"])
async def test_odd_hosts_reach_nothing(host: str) -> None:
    async with secret_server() as server, client() as guarded:
        with pytest.raises((OutgoingRefused, httpx2.ConnectError, httpx2.InvalidURL)):
            await guarded.get(f"http://{host}:{server.port}/")
        assert server.requests == []


async def test_the_server_is_reachable_at_all() -> None:
    """The control of every attack here: with an allowance the same request goes through."""
    async with secret_server() as server, client(f"127.0.0.1:{server.port}") as guarded:
        assert (await guarded.get(f"http://127.0.0.1:{server.port}/")).text == "secret"


async def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    resolver = answers([PUBLIC_ADDRESS, "127.0.0.1"])
    async with secret_server() as server, client(resolver=resolver) as guarded:
        with pytest.raises(OutgoingRefused):
            await guarded.get(f"http://both.example:{server.port}/")
        assert server.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """DNS rebinding: the second answer is private. It is never asked for within a connection, and refused in a next."""
    async with secret_server() as server:
        checked = "127.0.0.1"  # allowed here, so that a real connection can be made to the first answer
        resolver = answers([checked], ["127.0.0.2"])
        async with client(f"{checked}:{server.port}", resolver=resolver) as guarded:
            response = await guarded.get(f"http://rebind.example:{server.port}/", headers={"Connection": "close"})
            assert response.text == "secret"
            assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"
            with pytest.raises(OutgoingRefused):
                await guarded.get(f"http://rebind.example:{server.port}/")
        assert len(server.requests) == 1


async def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async with secret_server() as server:
        resolver = answers(["::1", "127.0.0.1"])  # the server doesn't listen on the first
        async with client("::1", "127.0.0.1", resolver=resolver) as guarded:
            assert (await guarded.get(f"http://two.example:{server.port}/")).text == "secret"


@pytest.mark.parametrize("found", [["not an address"], []])
async def test_a_resolver_that_answers_nonsense_is_a_failed_connection(found: list[str]) -> None:
    async with client(resolver=answers(found)) as guarded:
        with pytest.raises(httpx2.ConnectError):
            await guarded.get("http://odd.example/")


async def test_a_resolver_that_hangs_is_left() -> None:
    async def resolver(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with client(resolver=resolver) as guarded:
        with pytest.raises(httpx2.ConnectTimeout):
            await guarded.get("http://slow.example/", timeout=0.1)


@pytest.mark.parametrize(
    ("allow", "is_allowed"),
    [
        ("127.0.0.1:{port}", True),
        ("127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("models.internal:{port}", True),
        ("MODELS.internal.", True),
        ("127.0.0.1:1", False),
        ("127.0.0.2", False),
        ("10.0.0.0/8", False),
        ("models.internal:1", False),
        ("internal", False),
        ("odels.internal", False),
        ("::1", False),
    ],
)
async def test_an_allowance_opens_what_it_names_and_no_more(allow: str, is_allowed: bool) -> None:
    async with secret_server() as server:
        allowance = allow.format(port=server.port)
        async with client(allowance, resolver=answers(["127.0.0.1"])) as guarded:
            if is_allowed:
                assert (await guarded.get(f"http://models.internal:{server.port}/")).text == "secret"
            else:
                with pytest.raises(OutgoingRefused):
                    await guarded.get(f"http://models.internal:{server.port}/")


@asynccontextmanager
async def redirecting_server(target: str) -> AsyncGenerator[Loopback]:
    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 302, headers={"Location": target})

    async with serve(handler) as server:
        yield server


async def test_redirects_are_not_followed() -> None:
    async with secret_server() as hidden, redirecting_server(f"http://127.0.0.1:{hidden.port}/") as front:
        async with client(f"127.0.0.1:{front.port}") as guarded:
            assert (await guarded.get(f"http://127.0.0.1:{front.port}/")).status_code == 302
        assert hidden.requests == []


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/", "http://2130706433:{port}/", "http://u:p@127.1:{port}/"]
)
async def test_every_hop_of_a_followed_redirect_is_checked(target: str) -> None:
    async with secret_server() as hidden, redirecting_server(target.format(port=hidden.port)) as front:
        async with client(f"127.0.0.1:{front.port}") as guarded:
            with pytest.raises(OutgoingRefused):
                await guarded.get(f"http://127.0.0.1:{front.port}/", follow_redirects=True)
        assert hidden.requests == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "http://user:pass@one.example/"]
)
async def test_other_schemes_and_passwords_in_addresses_are_refused(url: str) -> None:
    async with client() as guarded:
        with pytest.raises((OutgoingRefused, httpx2.UnsupportedProtocol)):
            await guarded.get(url)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with secret_server() as proxy, secret_server() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with client(f"127.0.0.1:{server.port}") as guarded:
            await guarded.get(f"http://127.0.0.1:{server.port}/")
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


async def test_an_endless_body_is_cut_off() -> None:
    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with serve(handler) as server:
        async with client(f"127.0.0.1:{server.port}", max_response_bytes=10_000) as guarded:
            received = 0
            with pytest.raises(OutgoingRefused, match="longer than the 10000 bytes"):
                async with guarded.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
                    async for part in response.aiter_bytes():
                        received += len(part)
        assert received <= 10_000
        await asyncio.wait_for(server.disconnected.wait(), 10)


async def test_a_body_of_exactly_the_limit_passes() -> None:
    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 200, b"x" * 10_000)

    async with serve(handler) as server, client("127.0.0.1", max_response_bytes=10_000) as guarded:
        assert len((await guarded.get(f"http://127.0.0.1:{server.port}/")).content) == 10_000


async def test_a_compressed_body_is_refused() -> None:
    """A small one may be a huge one."""

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 200, gzip.compress(b"x" * 10_000_000), {"Content-Encoding": "gzip"})

    async with serve(handler) as server, client("127.0.0.1") as guarded:
        with pytest.raises(OutgoingRefused, match="compressed"):
            await guarded.get(f"http://127.0.0.1:{server.port}/", headers={"Accept-Encoding": "gzip"})
        assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_tls_verifies_the_name_and_not_the_address(tmp_path: Path) -> None:
    asked: list[str | None] = []
    tls = _tls_server(tmp_path)
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 200)

    async with serve(handler, tls=tls) as server, client("127.0.0.1", resolver=answers(["127.0.0.1"])) as guarded:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await guarded.get(f"https://named.example:{server.port}/")
        assert asked == ["named.example"]
        assert server.requests == []


def _tls_server(folder: Path) -> ssl.SSLContext:
    """A context with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "named.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("named.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
