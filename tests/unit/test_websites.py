"""Websites: what an allow-list entry may be, and which website an `Origin` attests. Compared as a whole, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.agents.websites import website, website_of_origin

ATTESTED = {
    "https://shop.example": "shop.example",
    "http://shop.example": "shop.example",
    "https://shop.example:443": "shop.example",
    "http://shop.example:80": "shop.example",
    "https://shop.example:80": "shop.example:80",
    "http://shop.example:443": "shop.example:443",
    "https://shop.example:8443": "shop.example:8443",
    "HTTPS://SHOP.Example": "shop.example",
    "https://www.shop.example": "www.shop.example",
    "http://localhost:3000": "localhost:3000",
    "http://127.0.0.1:8710": "127.0.0.1:8710",
    "http://[::1]:8710": "[::1]:8710",
    "https://[2001:db8::1]": "[2001:db8::1]",
    "https://[2001:DB8:0:0::1]:8443": "[2001:db8::1]:8443",
    "https://[::ffff:192.0.2.1]": "[::ffff:c000:201]",
    "https://xn--bcher-kva.example": "xn--bcher-kva.example",
}

NO_WEBSITE = [
    None, "", "null", "NULL", "*", "shop.example", "//shop.example", "https://", "https:///", "https://shop.example/",
    "https://shop.example/path", "https://shop.example?query", "https://shop.example#fragment", "https:/shop.example",
    "https://user@shop.example", "https://user:secret@shop.example", "https://shop.example@evil.example",
    "https://shop.example:", "https://shop.example:x", "https://shop.example:99999", "https://shop.example:-1",
    "file://", "file:///etc/passwd", "data:text/html,x", "javascript://shop.example", "ftp://shop.example",
    "chrome-extension://abcdef", "blob:https://shop.example", "https://shop.example evil.example",
    "https://shop.example,https://evil.example", "https://shop.example\nHost: evil.example", "https://shop.example\x00",
    "https://shop_.example", "https://-shop.example", "https://shop-.example", "https://shop..example",
    "https://.shop.example", "https://*.shop.example", "https://shop.example\\@evil.example", "https://[::1",
    "https://%73hop.example", f"https://{'a' * 64}.example", "https://" + "a." * 150 + "example",
    "https://shop.example\t", "https://bücher.example", "https://straße.example", "https://shop.example:0",
    "https://shop.example:0443", "https://shop.example:65536", "https://[:::::]", "https://[::1%lo]", "https://[]",
    "https://[1.2.3.4]", "https://shop.example:\N{ARABIC-INDIC DIGIT FIVE}",
    "https://sh\top.example", "https://shop.example\r", " https://shop.example", "https://shop.example:443:443", "https://sh%6Fp.example",
]  # fmt: skip


@pytest.mark.parametrize(("origin", "expected"), ATTESTED.items())
def test_an_origin_attests_its_website(origin: str, expected: str) -> None:
    assert website_of_origin(origin) == expected


@pytest.mark.parametrize("origin", NO_WEBSITE)
def test_what_is_no_origin_attests_nothing(origin: str | None) -> None:
    assert website_of_origin(origin) is None


LOOK_ALIKES = [
    "https://www.shop.example", "https://shop.example.evil.example", "https://evilshop.example", "null",
    "https://shop.example:8443",
    "https://shop.examp1e", "https://shop-example", "https://shop.example.", "https://shop.exampl",
    "https://sh\N{CYRILLIC SMALL LETTER O}p.example", "https://xn--shp-ued.example", "https://shop.example.com",
    "https://shop\N{FULLWIDTH FULL STOP}evil.example", "https://shop.\N{GREEK SMALL LETTER EPSILON}xample",
    "http://shop.example:443",
]  # fmt: skip


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_a_look_alike_is_another_website(origin: str) -> None:
    assert website_of_origin(origin) != website("shop.example")


def test_an_ideographic_full_stop_is_the_dot_that_a_browser_makes_of_it() -> None:
    """Browsers map it before they send an Origin (UTS 46); whoever types it into the list means the same host."""
    assert website("shop\N{IDEOGRAPHIC FULL STOP}example") == "shop.example"


ENTRIES = {
    "shop.example": "shop.example",
    " Shop.Example ": "shop.example",
    "https://shop.example": "shop.example",
    "https://shop.example/": "shop.example",
    "http://shop.example:8080": "shop.example:8080",
    "localhost:3000": "localhost:3000",
    "[::1]:3000": "[::1]:3000",
    "bücher.example": "xn--bcher-kva.example",
    "BÜCHER.example": "xn--bcher-kva.example",
    "127.0.0.1": "127.0.0.1",
    # Two domains of two owners, which IDNA 2003 takes for one.
    "straße.example": "xn--strae-oqa.example",
    "https://STRASSE.example": "strasse.example",
    "https://straße.example:8443/": "xn--strae-oqa.example:8443",
    "\N{LATIN SMALL LIGATURE FI}sh.example": "fish.example",
    "xn--53h.example": "xn--53h.example",
    "[0:0::1]:3000": "[::1]:3000",
    "shop.example:65535": "shop.example:65535",
}


@pytest.mark.parametrize(("entry", "expected"), ENTRIES.items())
def test_an_entry_is_normalised_to_what_a_browser_attests(entry: str, expected: str) -> None:
    assert website(entry) == expected
    assert website(expected) == expected


NO_ENTRIES = [
    "", " ", "*", "*.shop.example", "shop.*", "https://*", "shop.example/path", "https://shop.example/path",
    "https://user@shop.example", "user@shop.example", "shop.example:", "shop.example:x", "shop example", "a..b",
    ".example", "shop.example?x", "shop.example#x", "ftp://shop.example", "javascript:alert(1)", "<script>",
    "shop.example,evil.example", "shop.example\nevil.example", "a" * 64 + ".example", "a." * 200 + "example",
    "//shop.example", "\\\\shop.example", "shop.example\x00", "[::1", "::1", "shop.example:123456",
    "shop.example:0", "shop.example:99999", "shop.example:0080", "[:::::]", "[::1%1]", "\N{HOT BEVERAGE}.example",
    "shop\N{FULLWIDTH COLON}80.example", "https://shop.example:0",
]  # fmt: skip


@pytest.mark.parametrize("entry", NO_ENTRIES)
def test_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a website"):
        website(entry)


@pytest.mark.parametrize(
    ("entry", "says"),
    [("shop.example:99999", "port must be"), ("[:::::]", "IPv6 address"), ("\N{HOT BEVERAGE}.example", "punycode")],
)
def test_what_is_wrong_with_an_entry_is_said(entry: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        website(entry)


def test_a_trailing_dot_is_another_name() -> None:
    """`shop.example.` is a host of its own to browsers: it is neither listed nor attested as `shop.example`."""
    with pytest.raises(ValueError, match="is not a website"):
        website("shop.example.")
    assert website_of_origin("https://shop.example.") is None


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?){0,3}", fullmatch=True)


@settings(derandomize=True, deadline=None)
@given(HOSTS, st.sampled_from(["http", "https"]), st.none() | st.integers(1, 65535))
def test_an_entry_pasted_as_an_address_admits_that_origin(host: str, scheme: str, port: int | None) -> None:
    origin = f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"
    own = {"http": 80, "https": 443}[scheme]
    attested = website_of_origin(origin)
    assert attested == (host if port in (None, own) else f"{host}:{port}")
    assert website(origin) == attested


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(max_size=80))
def test_whatever_is_sent_attests_a_plain_host_or_nothing(origin: str) -> None:
    for attested in (website_of_origin(origin), website_of_origin(f"https://{origin}")):
        assert attested is None or (attested.isascii() and website(attested) == attested and "@" not in attested)
