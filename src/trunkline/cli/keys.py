"""`trunkline keys`: API keys of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from trunkline.cli.console import Format, FormatOption, out, print_json, print_rows
from trunkline.cli.home import open_home
from trunkline.cli.organizations import OrganizationOption

if TYPE_CHECKING:
    from trunkline.db.tenant import TenantSession

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    organization: OrganizationOption = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do; all where left out. Repeat for more.")
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a key and print it: the only time that it is shown."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization
    from trunkline.organizations import service
    from trunkline.organizations.schemas import NewKey

    new = NewKey(name=name, scopes=scope or ["*"])
    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> tuple[UUID, str]:
            row, key = await service.create_key(session, organization_id, new)
            return row.id, key

        key_id, key = as_principal(home.login_url, Service(organization_id), work)
    if output is Format.JSON:
        print_json({"id": key_id, "key": key, "scopes": new.scopes})
    else:
        out.print(f"{key}\nKeep it: it is not shown again. Its id is {key_id}.")


@app.command("list")
def list_keys(organization: OrganizationOption = None, output: FormatOption = Format.TEXT) -> None:
    """List the keys of an organization, without the keys."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization
    from trunkline.organizations import service
    from trunkline.organizations.schemas import KeyView

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> list[dict[str, Any]]:
            rows = await service.list_keys(session, 200, None)
            return [KeyView.model_validate(row).model_dump() for row in rows]

        rows = as_principal(home.login_url, Service(organization_id), work)
    print_rows(rows, ("name", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "id"), output)


@app.command()
def revoke(
    key_id: Annotated[UUID, typer.Argument(help="Id of the key.")], organization: OrganizationOption = None
) -> None:
    """Revoke a key, from the next request on."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization
    from trunkline.organizations import service

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> str:
            return (await service.revoke_key(session, key_id)).name

        name = as_principal(home.login_url, Service(organization_id), work)
    out.print(f"Key {name!r} is revoked.")
