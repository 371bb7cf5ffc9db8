"""Routes of organizations, members, keys and credentials."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from trunkline.api import Caller, Cursor, Db, Limit, Page, need, organization_for, page_of
from trunkline.db.principals import Member
from trunkline.errors import NotAllowed
from trunkline.organizations import service
from trunkline.organizations.schemas import (
    CredentialView,
    KeyMade,
    KeyView,
    MemberView,
    NewCredential,
    NewKey,
    NewMember,
    NewOrganization,
    OrganizationView,
    Role,
)
from trunkline.organizations.vault import Vault

router = APIRouter(prefix="/v1", tags=["organizations"])


@router.post("/organizations", status_code=status.HTTP_201_CREATED)
async def create_organization(new: NewOrganization, caller: Caller, database: Db) -> OrganizationView:
    """Make an organization; the calling member becomes its owner."""
    if not isinstance(caller, Member):
        raise NotAllowed(
            "Only a member can create an organization. Use a member's token, or `trunkline organizations`."
        )
    async with database.tenant(caller) as session:
        return OrganizationView.model_validate(await service.create_organization(session, new))


@router.get("/organizations")
async def list_organizations(
    caller: Caller, database: Db, limit: Limit = 50, cursor: Cursor = None
) -> Page[OrganizationView]:
    """The caller's organizations."""
    need(caller, "organization:read")
    async with database.tenant(caller) as session:
        rows = list(await service.list_organizations(session, limit + 1, cursor))
    return page_of(rows, limit, OrganizationView)


@router.get("/organizations/{organization_id}")
async def get_organization(organization_id: UUID, caller: Caller, database: Db) -> OrganizationView:
    """One organization."""
    need(caller, "organization:read")
    async with database.tenant(caller) as session:
        return OrganizationView.model_validate(await service.get_organization(session, organization_id))


@router.get("/organizations/{organization_id}/members")
async def list_members(organization_id: UUID, caller: Caller, database: Db) -> Page[MemberView]:
    """Everybody of an organization."""
    need(caller, "organization:read")
    async with database.tenant(caller) as session:
        await service.get_organization(session, organization_id)
        rows = await service.list_members(session, organization_id)
    return Page[MemberView](data=[MemberView.model_validate(row) for row in rows])


@router.post("/organizations/{organization_id}/members", status_code=status.HTTP_201_CREATED)
async def add_member(organization_id: UUID, new: NewMember, caller: Caller, database: Db) -> MemberView:
    """Add a person."""
    _members_only(caller)
    async with database.tenant(caller) as session:
        await service.get_organization(session, organization_id)
        member = await service.add_member(session, organization_id, new.user_id, new.role)
        return MemberView.model_validate(member)


@router.put("/organizations/{organization_id}/members/{user_id}/role", status_code=status.HTTP_204_NO_CONTENT)
async def change_role(organization_id: UUID, user_id: UUID, role: Role, caller: Caller, database: Db) -> Response:
    """Give a member another role (`?role=admin`)."""
    _members_only(caller)
    async with database.tenant(caller) as session:
        await service.change_role(session, organization_id, user_id, role)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.delete("/organizations/{organization_id}/members/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_member(organization_id: UUID, user_id: UUID, caller: Caller, database: Db) -> Response:
    """Remove a member, or leave."""
    _members_only(caller)
    async with database.tenant(caller) as session:
        await service.remove_member(session, organization_id, user_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post("/keys", status_code=status.HTTP_201_CREATED)
async def create_key(new: NewKey, caller: Caller, database: Db) -> KeyMade:
    """Make an API key. The answer is the only place where it is ever shown."""
    need(caller, "keys:write")
    organization_id = organization_for(caller, new.organization_id)
    async with database.tenant(caller) as session:
        row, key = await service.create_key(session, organization_id, new)
    return KeyMade(**KeyView.model_validate(row).model_dump(), key=key)


@router.get("/keys")
async def list_keys(caller: Caller, database: Db, limit: Limit = 50, cursor: Cursor = None) -> Page[KeyView]:
    """Keys, without the keys."""
    need(caller, "keys:write")
    async with database.tenant(caller) as session:
        rows = list(await service.list_keys(session, limit + 1, cursor))
    return page_of(rows, limit, KeyView)


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: UUID, caller: Caller, database: Db) -> KeyView:
    """Revoke a key, from the next request on."""
    need(caller, "keys:write")
    async with database.tenant(caller) as session:
        return KeyView.model_validate(await service.revoke_key(session, key_id))


@router.post("/credentials", status_code=status.HTTP_201_CREATED)
async def store_credential(new: NewCredential, caller: Caller, database: Db, request: Request) -> CredentialView:
    """Store a provider's key, encrypted. It is never given back."""
    need(caller, "credentials:write")
    organization_id = organization_for(caller, new.organization_id)
    vault: Vault = request.app.state.vault
    async with database.tenant(caller) as session:
        return CredentialView.model_validate(await service.store_credential(session, organization_id, new, vault))


@router.get("/credentials")
async def list_credentials(
    caller: Caller, database: Db, limit: Limit = 50, cursor: Cursor = None
) -> Page[CredentialView]:
    """Credentials, without the keys."""
    need(caller, "credentials:write")
    async with database.tenant(caller) as session:
        rows = list(await service.list_credentials(session, limit + 1, cursor))
    return page_of(rows, limit, CredentialView)


@router.delete("/credentials/{credential_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_credential(credential_id: UUID, caller: Caller, database: Db) -> Response:
    """Remove a credential; agents that named it have none afterwards."""
    need(caller, "credentials:write")
    async with database.tenant(caller) as session:
        await service.delete_credential(session, credential_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _members_only(caller: Caller) -> None:
    if not isinstance(caller, Member):
        raise NotAllowed("Members are managed by members. Use a member's token.")
