"""`trunkline agents`: agents of an organization."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.console import Format, FormatOption, out, print_json, print_rows
from trunkline.cli.home import open_home
from trunkline.cli.organizations import OrganizationOption

if TYPE_CHECKING:
    from trunkline.db.tenant import TenantSession

app = typer.Typer(help="Agents of an organization.", no_args_is_help=True)

SettingsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as name=value; lists and objects as JSON: allowed_domains='[\"shop.example\"]'."),
]
AgentArgument = Annotated[str, typer.Argument(help="Slug or id of the agent.")]


@app.command("list")
def list_agents(organization: OrganizationOption = None, output: FormatOption = Format.TEXT) -> None:
    """List the agents of an organization."""
    from trunkline.agents import service
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> list[dict[str, Any]]:
            return [_summary(agent) for agent in await service.page(session, 200, None)]

        rows = as_principal(home.login_url, Service(organization_id), work)
    print_rows(rows, ("slug", "name", "llm", "websites", "published", "id"), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    organization: OrganizationOption = None,
    settings: SettingsArgument = None,
    publish: Annotated[bool, typer.Option(help="Publish it at once.")] = True,
) -> None:
    """Make an agent and publish it."""
    from trunkline.agents import service
    from trunkline.agents.schemas import NewAgent
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization

    new = NewAgent.model_validate({"name": name, **_read(settings)})
    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> dict[str, Any]:
            agent = await service.create(session, organization_id, new)
            if publish:
                await service.publish(session, agent.id)
            return _summary(agent)

        made = as_principal(home.login_url, Service(organization_id), work)
    state = "published" if publish else "a draft"
    out.print(f"Agent {made['slug']} is made ({made['id']}), {state}, on: {made['websites'] or 'no website yet'}.")


@app.command()
def show(agent: AgentArgument, organization: OrganizationOption = None) -> None:
    """Print all settings of an agent, as JSON."""
    from trunkline.agents import service
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> dict[str, Any]:
            return service.view_of(await service.find(session, agent)).model_dump(mode="json")

        found = as_principal(home.login_url, Service(organization_id), work)
    print_json(found)


@app.command("set")
def set_settings(
    agent: AgentArgument,
    organization: OrganizationOption = None,
    settings: SettingsArgument = None,
    publish: Annotated[bool, typer.Option(help="Publish the change at once.")] = True,
) -> None:
    """Change settings of an agent and publish them. Running sessions keep the version that they started with."""
    from trunkline.agents import service
    from trunkline.agents.schemas import AgentChange
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization

    change = AgentChange.model_validate(_read(settings))
    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> tuple[str, int]:
            found = await service.find(session, agent)
            changed = await service.change(session, found.id, change.model_dump(exclude_unset=True))
            version = (await service.publish(session, found.id)).version if publish else changed.version
            return changed.slug, version

        slug, version = as_principal(home.login_url, Service(organization_id), work)
    out.print(f"Agent {slug} is changed" + (f" and published as version {version}." if publish else "; not published."))


@app.command("publish")
def publish_agent(
    agent: AgentArgument,
    organization: OrganizationOption = None,
    notes: Annotated[str | None, typer.Option(help="What is new in it.")] = None,
) -> None:
    """Publish an agent's draft as a new version."""
    from trunkline.agents import service
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> int:
            found = await service.find(session, agent)
            return (await service.publish(session, found.id, notes)).version

        version = as_principal(home.login_url, Service(organization_id), work)
    out.print(f"Published as version {version}.")


def _summary(agent: Any) -> dict[str, Any]:
    return {
        "slug": agent.slug,
        "name": agent.name,
        "llm": f"{agent.llm_provider}/{agent.llm_model}",
        "websites": ", ".join(agent.allowed_domains),
        "published": f"version {agent.version}" if agent.is_published else "no",
        "id": agent.id,
    }


def _read(settings: list[str] | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in settings or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"{item!r} is not name=value")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
