"""A stored provider's key goes to the one place that it was stored for, whoever edits agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.factories import rows
from tests.factories.loopback import Loopback, Request, respond, serve
from tests.factories.problems import assert_problem
from tests.factories.server import Caller, Served, Shop, open_shop, serving, settings_for

from trunkline.db.base import new_id
from trunkline.db.principals import Member
from trunkline.db.tenant import Database
from trunkline.settings import OutgoingSettings

SECRET = "sk-of-the-organization-0123456789"


@pytest.fixture
async def elsewhere() -> AsyncGenerator[Loopback]:
    """A server of somebody else's, which keeps what it is sent."""

    async def refuse(_: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 401, b"{}")

    async with serve(refuse) as loopback:
        yield loopback


@pytest.fixture
async def served(login_url: str) -> AsyncGenerator[Served]:
    """A server that may call loopback addresses, so that nothing but the keys' own rule protects them."""
    async with serving(login_url, settings_for(outgoing=OutgoingSettings(allow="127.0.0.1"))) as served:
        yield served


def address_of(server: Loopback) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


async def store(program: Caller, base_url: str | None = None, name: str = "key") -> str:
    """Store the secret for this address; the credential's id."""
    body = {"name": name, "provider": "openai", "base_url": base_url, "secret": SECRET}
    made = await program.ask("POST", "/v1/credentials", body)
    assert made["base_url"] == (base_url and base_url.rstrip("/"))
    return made["id"]


def sent(server: Loopback) -> list[str]:
    return [request.headers.get("authorization", "") for request in server.requests]


async def test_a_key_reaches_the_address_that_it_was_stored_for(
    program: Caller, shop: Shop, elsewhere: Loopback
) -> None:
    credential = await store(program, address_of(elsewhere) + "/")
    settings = {"llm_base_url": address_of(elsewhere), "llm_credential_id": credential}
    agent = shop.agent("m", llm_provider="openai")
    await program.ask("PATCH", f"/v1/agents/{agent}", settings)
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    session = (await program.start(agent))["session_id"]
    assert_problem(await program.say(session, "Hello"), 502, "provider_failed", says="refused the API key")
    assert set(sent(elsewhere)) == {f"Bearer {SECRET}"}


async def test_an_editor_of_agents_can_not_turn_a_key_elsewhere(
    served: Served, program: Caller, shop: Shop, elsewhere: Loopback
) -> None:
    made = await program.ask("POST", "/v1/keys", {"name": "editor", "scopes": ["agents:write", "agents:read"]})
    editor = served.caller(made["key"])
    assert_problem(await editor.call("GET", "/v1/credentials"), 403)
    usual, own = await store(program), await store(program, "https://models.example/v1", "own")
    agent = shop.agent("m", llm_provider="openai")
    await editor.ask("PATCH", f"/v1/agents/{agent}", {"llm_credential_id": usual})
    theirs: dict[str, str | None] = {"llm_base_url": address_of(elsewhere)}
    wrong: list[tuple[dict[str, str | None], str]] = [
        (theirs, "llm_base_url empty"),
        ({**theirs, "llm_credential_id": own}, "https://models.example/v1"),
        ({"llm_base_url": None, "llm_credential_id": own}, "https://models.example/v1"),
        ({"llm_base_url": "https://models.example/v2", "llm_credential_id": own}, "https://models.example/v1"),
        ({"llm_base_url": "https://models.example/v1@evil.example", "llm_credential_id": own}, "its key is sent"),
        ({"llm_provider": "scripted"}, "llm_provider openai"),
    ]
    for change, says in wrong:
        refused = await editor.call("PATCH", f"/v1/agents/{agent}", change)
        assert_problem(refused, 422, "invalid_input", field="llm_credential_id", says=says)
    refused = await editor.call("POST", "/v1/agents", {"name": "Mine", **theirs, "llm_credential_id": usual})
    assert_problem(refused, 422, "invalid_input", field="llm_credential_id")
    await editor.ask(
        "PATCH", f"/v1/agents/{agent}", {"llm_base_url": "https://models.example/v1/", "llm_credential_id": own}
    )
    assert shop.sql("select llm_base_url from public.agents") == [("https://models.example/v1/",)]


async def test_nor_past_the_api(login_url: str, program: Caller, shop: Shop, elsewhere: Loopback) -> None:
    """A member with supabase-js writes rows as the policies allow, and may not even see credentials."""
    with psycopg.connect(shop.owner_url) as connection:
        person = rows.person(connection, "member@shop.example")
        values = {"organization_id": shop.organization_id, "user_id": person, "role": "member"}
        rows.insert(connection, "organization_members", **values)
    agent = shop.agent("m", llm_provider="openai")
    await program.ask("PATCH", f"/v1/agents/{agent}", {"llm_credential_id": await store(program)})
    database = Database(login_url)
    with pytest.raises(IntegrityError, match="sent nowhere else"):
        async with database.tenant(Member(person)) as session:
            assert (await session.execute(text("select id from public.credentials"))).all() == []
            turned = text("update public.agents set llm_base_url = :url")
            await session.execute(turned, {"url": address_of(elsewhere)})
    await database.close()


async def test_the_check_tells_nothing_about_another_organization(
    login_url: str, owner_url: str, program: Caller, shop: Shop
) -> None:
    credential = await store(program)
    neighbor = open_shop(owner_url, "neighbor")
    insert = text(
        "insert into public.agents (organization_id, name, slug, llm_provider, llm_credential_id)"
        " values (:organization, 'A', 'a', 'scripted', :credential)"
    )
    refusals: list[str] = []
    database = Database(login_url)
    for organization in (shop.organization_id, neighbor.organization_id):
        for known in (credential, str(new_id())):
            with pytest.raises(DBAPIError) as refused:
                async with database.tenant(Member(neighbor.owner)) as session:
                    await session.execute(insert, {"organization": organization, "credential": known})
            refusals.append(str(refused.value.orig).replace(known, "…").replace(str(organization), "…"))
    await database.close()
    assert "row-level security" in refusals[0]
    assert "foreign key" in refusals[2]
    assert (refusals[0], refusals[2]) == (refusals[1], refusals[3])


@pytest.mark.parametrize("turned", ["the version", "the credential too"])
async def test_a_key_is_not_opened_for_another_place(
    program: Caller, shop: Shop, elsewhere: Loopback, turned: str
) -> None:
    """Versions may be written by members, past our API; rows of credentials by whoever holds the database."""
    credential = await store(program)
    agent = shop.agent("m", llm_provider="openai")
    there = {"llm_base_url": address_of(elsewhere), "llm_credential_id": credential}
    with psycopg.connect(shop.owner_url) as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute("update public.agent_versions set snapshot = snapshot || %s", (Jsonb(there),))
        if turned == "the credential too":
            connection.execute("update public.credentials set base_url = %s", (there["llm_base_url"],))
    session = (await program.start(agent))["session_id"]
    says = "sent nowhere else" if turned == "the version" else "belongs to another row or address"
    assert_problem(await program.say(session, "Hello"), 502, "provider_failed", says=says)
    assert elsewhere.requests == []


async def test_the_operators_key_goes_to_the_operators_address_only(
    login_url: str, shop: Shop, elsewhere: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_MODELS_OPENAI_API_KEY", SECRET)
    settings = settings_for(outgoing=OutgoingSettings(allow="127.0.0.1"))
    assert settings.models.openai_api_key is not None
    async with serving(login_url, settings) as served:
        program = served.caller(shop.key)
        agent = shop.agent("m", llm_provider="openai", llm_base_url=address_of(elsewhere))
        session = (await program.start(agent))["session_id"]
        assert_problem(await program.say(session, "Hello"), 502, "provider_failed", says="no API key for it")
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "base_url",
    ["models.example", "ftp://models.example", "https://", "https://u:p@models.example", "https://a.example/?k=1",
     "https://a.example/#x", "https://a b.example", "https://a.example:x", "https://[::1", "https://bücher.example",
     ""],
)  # fmt: skip
async def test_an_address_that_is_none_is_refused(program: Caller, base_url: str) -> None:
    body = {"name": "c", "provider": "openai", "base_url": base_url, "secret": "s"}
    assert_problem(
        await program.call("POST", "/v1/credentials", body), 422, field="base_url", says="address of a server"
    )
