"""`trunkline credentials`: provider keys of an organization, stored encrypted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from trunkline.cli.console import Format, FormatOption, out, print_rows
from trunkline.cli.home import Home, open_home
from trunkline.cli.organizations import OrganizationOption

if TYPE_CHECKING:
    from trunkline.db.tenant import TenantSession
    from trunkline.organizations.vault import Vault

app = typer.Typer(help="Provider keys of an organization, stored encrypted.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    organization: OrganizationOption = None,
    provider: Annotated[str, typer.Option(help="Whose key it is, as agents name it in llm_provider.")] = "openai",
    base_url: Annotated[
        str | None,
        typer.Option(help="The one address that it is for, as agents name it in llm_base_url. Without: the usual."),
    ] = None,
) -> None:
    """Store a provider's key. It is asked for, or read from a pipe: never an argument that others could see."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization
    from trunkline.organizations import service
    from trunkline.organizations.schemas import NewCredential

    secret = typer.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    if not secret:
        raise typer.BadParameter("the key is empty")
    new = NewCredential(name=name, provider=provider, base_url=base_url, secret=secret)
    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)
        vault = _vault(home)

        async def work(session: TenantSession) -> UUID:
            return (await service.store_credential(session, organization_id, new, vault)).id

        made = as_principal(home.login_url, Service(organization_id), work)
    place = f" llm_base_url={new.base_url}" if new.base_url else ""
    out.print(
        f"Stored as {name!r}. Let an agent use it:"
        f" trunkline agents set SLUG llm_provider={provider}{place} llm_credential_id={made}",
        soft_wrap=True,
    )


@app.command("list")
def list_credentials(organization: OrganizationOption = None, output: FormatOption = Format.TEXT) -> None:
    """List stored keys, without the keys."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Service
    from trunkline.db.setup import find_organization
    from trunkline.organizations import service
    from trunkline.organizations.schemas import CredentialView

    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)

        async def work(session: TenantSession) -> list[dict[str, Any]]:
            rows = await service.list_credentials(session, 200, None)
            return [CredentialView.model_validate(row).model_dump() for row in rows]

        rows = as_principal(home.login_url, Service(organization_id), work)
    print_rows(rows, ("name", "provider", "base_url", "hint", "created_at", "id"), output)


def _vault(home: Home) -> Vault:
    from trunkline.organizations.vault import Vault

    security = home.settings.security
    previous = security.previous_secret
    return Vault(
        security.secret.get_secret_value() if security.secret else None,
        previous.get_secret_value() if previous else None,
    )
