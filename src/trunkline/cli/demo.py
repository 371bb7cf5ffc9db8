"""`trunkline demo`: everything on this machine, with a sample organization and two agents on two websites."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from rich.markup import escape

from trunkline.cli.console import out, progress
from trunkline.cli.home import Home, alone, open_home, write_private
from trunkline.cli.signals import Stop, until_interrupted
from trunkline.errors import NotAuthenticated
from trunkline.settings import load_settings

if TYPE_CHECKING:
    from trunkline.db.tenant import Database, TenantSession

OWNER = "demo@trunkline.example"
ORGANIZATION = "demo"
FACTS = "demo.json"
KEPT_WEBSITES = 20
"""Most websites of an agent that are kept over runs on other ports."""
TINY = "The bundled model, SmolLM2-135M, is tiny: it answers without key or network, and often says wrong things."


@dataclass(frozen=True)
class Sample:
    """An agent of the demo; `hosts` are the names under which this machine plays its website."""

    slug: str
    name: str
    hosts: tuple[str, ...]
    settings: dict[str, Any]


SAMPLES = (
    Sample(
        "bakery",
        "Corner Bakery",
        ("127.0.0.1", "bakery.localhost"),
        {
            "description": "Answers customers of a small bakery.",
            # So small a model follows examples better than instructions.
            "system_prompt": (
                "You answer customers of Corner Bakery, in one short sentence.\n\n"
                "Customer: When do you open?\n"
                "Answer: We open at 7 in the morning and close at 6 in the evening, Monday to Saturday.\n\n"
                "Customer: What do you sell?\n"
                "Answer: We sell sourdough bread, croissants and cakes.\n\n"
                "Customer: Can I order a cake?\n"
                "Answer: You can order a cake by phone, two days before."
            ),
            "first_message": "Hello! Ask me about our bread, cakes or opening hours.",
            "suggested_questions": ["When do you open?", "What do you sell?", "Can I order a cake?"],
        },
    ),
    Sample(
        "clinic",
        "Riverside Clinic",
        ("localhost", "clinic.localhost"),
        {
            "description": "Answers patients of a family clinic.",
            "system_prompt": (
                "You answer patients of Riverside Clinic, in one short sentence.\n\n"
                "Patient: How do I make an appointment?\n"
                "Answer: Please call us between 8 and 12 in the morning.\n\n"
                "Patient: What are your phone hours?\n"
                "Answer: You can call us from 8 to 12, Monday to Friday.\n\n"
                "Patient: It is an emergency!\n"
                "Answer: Please call 112 at once."
            ),
            "first_message": "Welcome to Riverside Clinic. How can I help?",
            "suggested_questions": ["How do I make an appointment?", "What are your phone hours?"],
        },
    ),
)


@dataclass(frozen=True)
class SeededAgent:
    """An agent as it is in the database now."""

    id: UUID
    slug: str
    name: str
    websites: tuple[str, ...]
    provider: str


@dataclass(frozen=True)
class Seeded:
    """What the demo's database holds."""

    organization_id: UUID
    agents: list[SeededAgent]
    api_key: str


def demo() -> None:
    """Start a database, the server and the bundled model, with two agents to talk to. Ctrl-C ends all of it."""
    from trunkline.cli.logs import log_to_stderr
    from trunkline.web.listen import address_of, bind

    log_to_stderr()
    settings = load_settings()
    listener = bind(settings.host, settings.port)  # before anything slow: a taken port is said at once
    loading = threading.Thread(target=_load_server, daemon=True)
    loading.start()  # while PostgreSQL starts
    host, port = address_of(listener)
    starting = progress.status("Starting PostgreSQL (the first time takes some seconds) …")
    with until_interrupted() as stop, starting as waiting, open_home() as home:
        stop.check()
        waiting.update("Looking after the sample organization …")
        with alone(home.owner_url):
            seeded = asyncio.run(_seed(home, host, port))
            before = _write_facts(home, f"http://{host}:{port}", seeded)
        try:
            loading.join()
            stop.check()
            _serve(home, listener, f"http://{host}:{port}", seeded, waiting.stop, stop)
        finally:
            _give_back(home, f"http://{host}:{port}", before)


def _load_server() -> None:
    """Load what the server is made of: a second or two, hidden behind the database's start."""
    with suppress(ImportError):  # what is missing is said where it is used
        import_module("trunkline.web.serve")


def _serve(
    home: Home,
    listener: socket.socket,
    base_url: str,
    seeded: Seeded,
    stop_waiting: Callable[[], None],
    stop: Stop,
) -> None:
    from trunkline.web.app import create_app, drain
    from trunkline.web.page import PageAgent
    from trunkline.web.serve import run

    offered = [
        PageAgent(agent.id, agent.name, agent.websites, TINY if agent.provider == "local" else "", agent.slug)
        for agent in seeded.agents
    ]
    providers = sorted({agent.provider for agent in seeded.agents} & {"local"})
    app = create_app(home.settings, home.login_url, page_agents=offered, start_providers=providers)

    def announce() -> None:
        stop_waiting()
        _print_tour(home.settings.data_dir, base_url, seeded)
        print(f"ready {base_url}", flush=True)  # noqa: T201  scripts wait for this very line

    run(app, listener, on_ready=announce, drain=lambda: drain(app), is_stopped=lambda: stop.is_wanted)


def _print_tour(folder: Path, base_url: str, seeded: Seeded) -> None:
    lines = ["[bold]Trunkline is running.[/] Talk to an agent:"]
    for agent in seeded.agents:
        lines += [f"  {escape(agent.name):18} http://{website}/" for website in agent.websites]
    lines += [
        "",
        "In the terminal   .venv/bin/trunkline chat bakery",
        f"The API           {base_url}/docs",
        f"Key and ids       {escape(str(folder / 'demo.json'))}",
        "The tables        .venv/bin/trunkline db shell",
        "",
        TINY,
        "A real model: start with TRUNKLINE_MODELS_OPENAI_API_KEY set, then",
        "  .venv/bin/trunkline agents set bakery llm_provider=openai llm_model=gpt-4o-mini",
        "",
        "Ctrl-C ends everything.",
    ]
    out.print("\n".join(lines), soft_wrap=True)


async def _seed(home: Home, host: str, port: int) -> Seeded:
    from trunkline.db.principals import Member, Service
    from trunkline.db.setup import ensure_person
    from trunkline.db.tenant import Database

    owner = ensure_person(home.owner_url, OWNER, "Demo Owner")
    database = Database(home.login_url, pool_size=1)
    try:
        async with database.tenant(Member(owner, OWNER)) as session:
            organization_id = await _organization(session)
        async with database.tenant(Service(organization_id)) as session:
            agents = [await _agent(session, organization_id, sample, host, port) for sample in SAMPLES]
        key = await _api_key(database, organization_id, home.settings.data_dir)
    finally:
        await database.close()
    return Seeded(organization_id, agents, key)


async def _organization(session: TenantSession) -> UUID:
    from trunkline.organizations import service
    from trunkline.organizations.schemas import NewOrganization

    for organization in await service.list_organizations(session, 200, None):
        if organization.slug == ORGANIZATION:
            return organization.id
    return (await service.create_organization(session, NewOrganization(name="Demo", slug=ORGANIZATION))).id


async def _agent(session: TenantSession, organization_id: UUID, sample: Sample, host: str, port: int) -> SeededAgent:
    """The sample's agent on this run's addresses; whatever else somebody has set on it stays, published or not."""
    from trunkline.agents import service
    from trunkline.agents.schemas import NewAgent

    hosts = sample.hosts if host in {name for other in SAMPLES for name in other.hosts} else (host, *sample.hosts)
    here = tuple(name if port == 80 else f"{name}:{port}" for name in hosts)
    try:
        agent = await service.find(session, sample.slug)
    except service.UnknownAgent:
        new = NewAgent(
            name=sample.name,
            slug=sample.slug,
            llm_provider="local",
            llm_model="smollm2-135m-instruct",
            temperature=0,
            max_tokens=200,
            channels=["web", "api"],
            **sample.settings,
        )
        agent = await service.create(session, organization_id, new)
    if not agent.is_published:
        await service.publish(session, agent.id)
    settings = await service.serve_websites(session, agent.id, here, most=KEPT_WEBSITES)
    return SeededAgent(agent.id, agent.slug, settings.name, here, settings.llm_provider)


async def _api_key(database: Database, organization_id: UUID, folder: Path) -> str:
    """The key of the last run if it is still good, else a fresh one."""
    from trunkline.db.principals import Service
    from trunkline.organizations import service
    from trunkline.organizations.schemas import NewKey

    try:
        known = json.loads((folder / FACTS).read_text(encoding="utf-8"))["api_key"]
        if (await service.authenticate_key(database, known)).organization_id == organization_id:
            return known
    except (OSError, ValueError, KeyError, NotAuthenticated):
        pass  # no earlier run, or its key was revoked
    async with database.tenant(Service(organization_id)) as session:
        return (await service.create_key(session, organization_id, NewKey(name="demo")))[1]


def _write_facts(home: Home, base_url: str, seeded: Seeded) -> str:
    """Say where this demo is; returns what was said before, empty where there was nothing."""
    file = home.settings.data_dir / FACTS
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    facts = {
        "base_url": base_url,
        "api_key": seeded.api_key,
        "organization_id": str(seeded.organization_id),
        "agents": [
            {"id": str(agent.id), "slug": agent.slug, "websites": list(agent.websites)} for agent in seeded.agents
        ],
        "database_url": home.login_url,
    }
    write_private(file, json.dumps(facts, indent=2) + "\n")
    return before


def _give_back(home: Home, base_url: str, before: str) -> None:
    """Let the facts tell of the demo that they told of before this one, if it still runs."""
    file = home.settings.data_dir / FACTS
    with suppress(OSError, ValueError, KeyError):
        if _address_in(file.read_text(encoding="utf-8")) != base_url:
            return  # a later demo has said where it is
        other = urlsplit(_address_in(before))
        with socket.create_connection((other.hostname or "", other.port or 80), timeout=1):
            write_private(file, before)


def _address_in(facts: str) -> str:
    return json.loads(facts)["base_url"]
