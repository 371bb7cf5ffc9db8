"""`trunkline organizations`: tenants and their people, as the database's owner sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from trunkline.cli.console import Format, FormatOption, out, print_json, print_rows
from trunkline.cli.home import open_home

if TYPE_CHECKING:
    from trunkline.db.tenant import TenantSession

app = typer.Typer(help="Organizations and their members.", no_args_is_help=True)

OrganizationOption = Annotated[
    str | None,
    typer.Option("--organization", "-o", help="Slug or id of the organization; may be left out if there is one."),
]


@app.command("list")
def list_organizations(output: FormatOption = Format.TEXT) -> None:
    """List every organization."""
    from trunkline.db.setup import all_organizations

    with open_home() as home:
        rows = [{"id": id_, "slug": slug, "name": name} for id_, slug, name in all_organizations(home.owner_url)]
    print_rows(rows, ("slug", "name", "id"), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    owner: Annotated[str, typer.Option(help="E-mail address of the person who owns it.")],
    slug: Annotated[str | None, typer.Option(help="How addresses name it; made from the name.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make an organization. Its owner gets a profile, where there is none yet."""
    from trunkline.agents.schemas import slug_of
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Member
    from trunkline.db.setup import ensure_person
    from trunkline.organizations import service
    from trunkline.organizations.schemas import NewOrganization

    new = NewOrganization(name=name, slug=slug or slug_of(name))
    with open_home() as home:
        person = ensure_person(home.owner_url, owner)

        async def work(session: TenantSession) -> UUID:
            return (await service.create_organization(session, new)).id

        made = as_principal(home.login_url, Member(person, owner), work)
    if output is Format.JSON:
        print_json({"id": made, "slug": new.slug, "owner_id": person})
    else:
        out.print(f"Organization {new.slug} is made ({made}), owned by {owner}.")


@app.command("add-member")
def add_member(
    email: Annotated[str, typer.Argument(help="E-mail address of the person.")],
    by: Annotated[str, typer.Option(help="E-mail address of the owner or admin who adds them.")],
    organization: OrganizationOption = None,
    role: Annotated[str, typer.Option(help="owner, admin, member or viewer.")] = "member",
) -> None:
    """Add a person to an organization."""
    from trunkline.cli.work import as_principal
    from trunkline.db.principals import Member
    from trunkline.db.setup import ensure_person, find_organization
    from trunkline.organizations import service
    from trunkline.organizations.models import ROLES

    if role not in ROLES:
        raise typer.BadParameter(f"{role!r} is not one of {', '.join(ROLES)}")
    with open_home() as home:
        organization_id = find_organization(home.owner_url, organization)
        acting = ensure_person(home.owner_url, by)
        person = ensure_person(home.owner_url, email)

        async def work(session: TenantSession) -> None:
            await service.add_member(session, organization_id, person, role)

        as_principal(home.login_url, Member(acting, by), work)
    out.print(f"{email} is {role} of {organization_id} ({person}).")


@app.command()
def token(
    email: Annotated[str, typer.Argument(help="E-mail address of the member.")],
    hours: Annotated[int, typer.Option(min=1, max=720, help="How long it is good.")] = 1,
) -> None:
    """Print a token with which a member can call the API, signed with this installation's JWT secret."""
    from datetime import UTC, datetime, timedelta

    import jwt

    from trunkline.db.setup import ensure_person

    with open_home() as home:
        person = ensure_person(home.owner_url, email)
        secret = home.settings.security.jwt_secret
    claims = {
        "sub": str(person),
        "email": email,
        "role": "authenticated",
        "aud": "authenticated",
        "exp": datetime.now(UTC) + timedelta(hours=hours),
    }
    key = secret.get_secret_value() if secret else ""
    print(jwt.encode(claims, key, algorithm="HS256"))  # noqa: T201  for scripts, as it is
