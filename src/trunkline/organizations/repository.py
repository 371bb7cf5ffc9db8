"""Queries of organizations, members, keys and credentials."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import defer

from trunkline.db.tenant import TenantSession
from trunkline.organizations.models import ApiKeyRow, AuditLog, Credential, Organization, OrganizationMember

_KEY_FACE = defer(ApiKeyRow.key_hash, raiseload=True)
_CREDENTIAL_FACE = defer(Credential.ciphertext, raiseload=True)


async def create_organization(
    session: TenantSession, organization_id: UUID, name: str, slug: str, description: str
) -> UUID:
    """Make a tenant owned by the calling member."""
    call = select(func.app.create_organization(organization_id, name, slug, description))
    return (await session.execute(call)).scalar_one()


async def organizations(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Organization]:
    """The caller's organizations, by id."""
    query = select(Organization).order_by(Organization.id).limit(limit)
    if after is not None:
        query = query.where(Organization.id > after)
    return (await session.execute(query)).scalars().all()


async def organization(session: TenantSession, organization_id: UUID) -> Organization | None:
    """One of the caller's organizations."""
    return (await session.execute(select(Organization).where(Organization.id == organization_id))).scalar_one_or_none()


async def members(session: TenantSession, organization_id: UUID) -> Sequence[OrganizationMember]:
    """Everybody of an organization, oldest first."""
    query = select(OrganizationMember).where(OrganizationMember.organization_id == organization_id)
    return (await session.execute(query.order_by(OrganizationMember.id))).scalars().all()


async def member(session: TenantSession, organization_id: UUID, user_id: UUID) -> OrganizationMember | None:
    """One person's place in an organization."""
    query = select(OrganizationMember).where(
        OrganizationMember.organization_id == organization_id, OrganizationMember.user_id == user_id
    )
    return (await session.execute(query)).scalar_one_or_none()


async def set_role(session: TenantSession, organization_id: UUID, user_id: UUID, role: str) -> int:
    """Give a member another role; returns how many rows that were: 0 or 1."""
    change = (
        update(OrganizationMember)
        .where(OrganizationMember.organization_id == organization_id, OrganizationMember.user_id == user_id)
        .values(role=role)
        .returning(OrganizationMember.id)
    )
    return len((await session.execute(change)).all())


async def remove_member(session: TenantSession, organization_id: UUID, user_id: UUID) -> int:
    """Remove a member; returns how many rows that were: 0 or 1."""
    removal = delete(OrganizationMember).where(
        OrganizationMember.organization_id == organization_id, OrganizationMember.user_id == user_id
    )
    return len((await session.execute(removal.returning(OrganizationMember.id))).all())


async def add(session: TenantSession, row: OrganizationMember | ApiKeyRow | Credential | AuditLog) -> None:
    """Insert a row; policies and constraints speak at once."""
    session.add(row)
    await session.flush()


async def keys(session: TenantSession, limit: int, after: UUID | None) -> Sequence[ApiKeyRow]:
    """Keys by id, without their hashes."""
    query = select(ApiKeyRow).options(_KEY_FACE).order_by(ApiKeyRow.id).limit(limit)
    if after is not None:
        query = query.where(ApiKeyRow.id > after)
    return (await session.execute(query)).scalars().all()


async def key(session: TenantSession, key_id: UUID) -> ApiKeyRow | None:
    """One key, without its hash."""
    query = select(ApiKeyRow).options(_KEY_FACE).where(ApiKeyRow.id == key_id)
    return (await session.execute(query)).scalar_one_or_none()


async def credentials(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Credential]:
    """Credentials by id, without their ciphertexts."""
    query = select(Credential).options(_CREDENTIAL_FACE).order_by(Credential.id).limit(limit)
    if after is not None:
        query = query.where(Credential.id > after)
    return (await session.execute(query)).scalars().all()


async def credential(session: TenantSession, credential_id: UUID) -> Credential | None:
    """One credential as it is stored, with its ciphertext."""
    return (await session.execute(select(Credential).where(Credential.id == credential_id))).scalar_one_or_none()


async def delete_credential(session: TenantSession, credential_id: UUID) -> UUID | None:
    """Remove a credential; agents that named it have none afterwards. Returns whose it was, if it was there."""
    removal = delete(Credential).where(Credential.id == credential_id).returning(Credential.organization_id)
    return (await session.execute(removal)).scalar_one_or_none()


FIND_KEY = text("select key_id, organization_id, scopes from app.authenticate_key(:hash)")
"""One of the two calls that have no principal yet."""
