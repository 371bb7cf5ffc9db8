"""Organizations, keys, agents, credentials and the schema, from the command line."""

from __future__ import annotations

import json

import psycopg
from psycopg import sql
from tests.factories.command import Command
from tests.factories.server import Shop, serving

from trunkline.db.safety import check_login
from trunkline.db.urls import sqlalchemy_url


async def test_help_names_every_command(command: Command) -> None:
    shown = await command.works("--help")
    for noun in ("demo", "serve", "chat", "organizations", "agents", "keys", "credentials", "db"):
        assert f" {noun} " in shown
    assert "prepare" in await command.works("db", "--help")
    assert (await command.run("nothing")).status == 2


async def test_from_an_organization_to_an_answer(command: Command, login_url: str) -> None:
    made = json.loads(
        await command.works(
            "organizations", "create", "Corner Bakery", "--owner", "ada@example.com", "--format", "json"
        )
    )
    assert made["slug"] == "corner-bakery"
    assert "corner-bakery" in await command.works("organizations", "list")
    member = (await command.works("organizations", "token", "ada@example.com")).strip()
    key = json.loads(await command.works("keys", "create", "site", "--format", "json"))
    settings = ["llm_provider=scripted", "llm_model=echo", 'allowed_domains=["shop.example"]']
    assert "published" in await command.works("agents", "create", "Ada", *settings)
    shown = json.loads(await command.works("agents", "show", "ada"))
    assert (shown["llm_model"], shown["is_published"], shown["version"]) == ("echo", True, 1)
    async with serving(login_url) as served:
        program = served.caller(key["key"])
        session = (await program.start(shown["id"]))["session_id"]
        assert (await program.say(session, "Hello")).status_code == 200
        assert (await served.caller(member).messages(session))[1] == ("assistant", "Hello", "complete")
        assert "version 2" in await command.works("agents", "set", "ada", "llm_model=lorem-2")
        assert "version 3" in await command.works("agents", "publish", "ada", "--notes", "again")
        fresh = (await program.start(shown["id"]))["session_id"]
        assert (await program.say(fresh, "Hello")).json()["message"]["content"] == "lorem ipsum "
        assert "revoked" in await command.works("keys", "revoke", key["id"])
        assert (await program.call("GET", "/v1/agents")).status_code == 401
    listed = json.loads(await command.works("keys", "list", "--format", "json"))
    assert [bool(row["revoked_at"]) for row in listed] == [True]
    assert key["key"] not in json.dumps(listed)
    assert "ada" in await command.works("agents", "list")


async def test_people_and_credentials(command: Command, shop: Shop) -> None:
    out = await command.works(
        "organizations", "add-member", "bob@example.com", "--by", "owner@shop.example", "--role", "viewer"
    )
    assert "bob@example.com is viewer" in out
    assert "Stored as 'openai'" in await command.works("credentials", "add", "openai", typed="sk-0123456789abcdef\n")
    listed = json.loads(await command.works("credentials", "list", "--format", "json"))
    assert [(row["name"], row["hint"]) for row in listed] == [("openai", "cdef")]
    stored = shop.sql("select ciphertext from public.credentials")
    assert b"0123456789" not in stored[0][0]
    await command.fails("credentials", "add", "openai", typed="sk-1\n", says="named 'openai' already")
    assert (await command.run("credentials", "add", "empty", typed="\n")).status == 2
    await command.fails("credentials", "add", "", typed="sk-1\n", says="name: String should have at least 1")


async def test_what_can_not_be_done_is_said_in_a_sentence(command: Command, shop: Shop, login_url: str) -> None:
    await command.works("agents", "create", "Ada")
    await command.fails("agents", "create", "Ada", says="'ada' is in use")
    await command.fails("agents", "create", "", says="name: String should have at least 1")
    await command.fails("agents", "create", "Bob", "temperature=hot", says="temperature: ")
    await command.fails("agents", "create", "Bob", "llm_credential_id=x", says="llm_credential_id: ")
    await command.fails("agents", "set", "ada", "color=red", says="color: ")
    await command.fails("agents", "show", "nobody", says="no agent 'nobody'")
    await command.fails("agents", "list", "-o", "elsewhere", says="There are: shop")
    await command.fails("keys", "create", "", says="name: ")
    await command.fails("keys", "create", "k", "--scope", "everything", says="Unknown scope 'everything'")
    await command.fails("keys", "revoke", str(shop.organization_id), says="There is no API key")
    await command.fails("organizations", "create", "", "--owner", "a@b.example", says="name: ")
    await command.fails("organizations", "create", "Shop", "--owner", "a@b.example", says="'shop' is in use")
    stranger = ("--by", "stranger@nowhere.example")
    await command.fails("organizations", "add-member", "bob@example.com", *stranger, says="policy")
    for arguments in (("agents", "create", "x", "noequals"), ("keys", "revoke", "x"), ("organizations", "create", "x")):
        assert (await command.run(*arguments)).status == 2
    owner = {"TRUNKLINE_DATABASE_DIRECT_URL": login_url}
    await command.fails("organizations", "list", says="set TRUNKLINE_DATABASE_DIRECT_URL", **owner)
    away = "postgresql://nobody:x@127.0.0.1:1/none"
    await command.fails("organizations", "list", says="does not answer", TRUNKLINE_DATABASE_URL=away)
    await command.fails("organizations", "list", says="can't be read", TRUNKLINE_DATABASE_URL="x")
    await command.fails("organizations", "list", says="TRUNKLINE_PORT", TRUNKLINE_PORT="70000")


async def test_two_organizations_ask_for_a_choice(command: Command, shop: Shop) -> None:
    await command.works("organizations", "create", "Second", "--owner", "owner@shop.example")
    await command.fails("agents", "list", says="Say which organization with --organization. There are: second, shop")
    await command.works("agents", "create", "Ada", "-o", "second")
    assert "ada" not in await command.works("agents", "list", "-o", "shop")
    await command.fails("agents", "show", "ada", "-o", "shop", says="no agent 'ada'")
    assert shop.sql("select count(*) from public.agents") == [(1,)]


async def test_upgrade_and_prepare_make_an_empty_database_servable(command: Command, empty_url: str) -> None:
    login = f"trunkline_test_{sqlalchemy_url(empty_url).database}"[:63]
    given = {"TRUNKLINE_DATABASE_DIRECT_URL": empty_url, "TRUNKLINE_DATABASE_URL": empty_url}
    await command.fails("serve", says="trunkline db prepare", **given)
    assert "revision" in await command.works("db", "upgrade", **given)
    assert await command.works("db", "upgrade", **given)
    try:
        url = (await command.works("db", "prepare", "--login", login, **given)).strip()
        check_login(url)
        await command.fails("db", "prepare", "--login", login, says="--new-password", **given)
        check_login(url)
        again = (await command.works("db", "prepare", "--login", login, "--new-password", **given)).strip()
        assert again != url
        check_login(again)
    finally:
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(login)))
