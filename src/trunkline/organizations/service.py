"""Rules of organizations, members, keys and credentials. What the caller may at all, the policies say.

OrganizationTaken, NameTaken ⊂ Conflict
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from trunkline.api import SCOPES, actor_id
from trunkline.db.base import new_id
from trunkline.db.principals import ApiKey, Principal
from trunkline.db.tenant import Database, TenantSession
from trunkline.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, SetupError
from trunkline.organizations import repository
from trunkline.organizations.keys import SHOWN, hash_of, make_key
from trunkline.organizations.models import ApiKeyRow, AuditLog, Credential, Organization, OrganizationMember
from trunkline.organizations.schemas import NewCredential, NewKey, NewOrganization
from trunkline.organizations.vault import KeptFor, Vault


class OrganizationTaken(Conflict):
    """Another organization has this slug."""

    code: ClassVar[str] = "slug_taken"


class NameTaken(Conflict):
    """The organization has something of this name already."""

    code: ClassVar[str] = "name_taken"


async def authenticate_key(database: Database, key: str) -> ApiKey:
    """The principal of an API key.

    Raises:
        NotAuthenticated: the key is unknown, revoked or expired.
    """
    row = await database.ask(repository.FIND_KEY, {"hash": hash_of(key)})
    if row is None:
        raise NotAuthenticated("The API key is unknown, revoked or expired. Make one with `trunkline keys create`.")
    return ApiKey(row.organization_id, row.key_id, frozenset(row.scopes))


async def create_organization(session: TenantSession, new: NewOrganization) -> Organization:
    """Make a tenant; the calling member owns it.

    Raises:
        OrganizationTaken: the slug is in use.
        NotAuthenticated: nobody with the member's id has signed up.
    """
    try:
        made = await repository.create_organization(session, new_id(), new.name, new.slug, new.description)
    except IntegrityError as error:
        if "organizations_slug_key" in str(error.orig):
            raise OrganizationTaken(f"The slug {new.slug!r} is in use. Choose another.", field="slug") from None
        if "profiles_id_fkey" in str(error.orig):
            raise NotAuthenticated("The token is of a person who has not signed up here. Sign up first.") from None
        raise
    return await get_organization(session, made)


async def get_organization(session: TenantSession, organization_id: UUID) -> Organization:
    """One organization of the caller's.

    Raises:
        NotFound: there is none of this id for the caller.
    """
    found = await repository.organization(session, organization_id)
    if found is None:
        raise NotFound(f"There is no organization {organization_id}.")
    return found


async def list_organizations(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Organization]:
    """The caller's organizations, by id."""
    return await repository.organizations(session, limit, after)


async def list_members(session: TenantSession, organization_id: UUID) -> Sequence[OrganizationMember]:
    """Everybody of an organization, oldest first."""
    return await repository.members(session, organization_id)


async def add_member(session: TenantSession, organization_id: UUID, user_id: UUID, role: str) -> OrganizationMember:
    """Add a person who has signed up.

    Raises:
        NameTaken: the person is a member already.
        NotFound: nobody has this id.
    """
    member = OrganizationMember(id=new_id(), organization_id=organization_id, user_id=user_id, role=role)
    try:
        await repository.add(session, member)
    except IntegrityError as error:
        if "organization_members_user_id_fkey" in str(error.orig):
            raise NotFound(f"Nobody with the id {user_id} has signed up.", field="user_id") from None
        raise NameTaken("This person is a member already. Change the role instead.", field="user_id") from None
    await _audit_member(session, "member.added", member, role=role)
    return member


async def change_role(session: TenantSession, organization_id: UUID, user_id: UUID, role: str) -> None:
    """Give a member another role.

    Raises:
        NotFound: no such member that the caller may change.
        Conflict: it is the last owner.
    """
    member = await repository.member(session, organization_id, user_id)
    before = member.role if member else None
    try:
        changed = await repository.set_role(session, organization_id, user_id, role)
    except IntegrityError:
        raise Conflict("This is the last owner. Make another member an owner first.", field="role") from None
    if member is None or not changed:
        raise NotFound(f"There is no member {user_id} that you may change.")
    await _audit_member(session, "member.role_changed", member, before=before, role=role)


async def remove_member(session: TenantSession, organization_id: UUID, user_id: UUID) -> None:
    """Remove a member, or leave.

    Raises:
        NotFound: no such member that the caller may remove.
        Conflict: it is the last owner.
    """
    member = await repository.member(session, organization_id, user_id)
    if member is None:
        raise NotFound(f"There is no member {user_id} that you may remove.")
    # Before it is done: who has left may write no record anymore. If it may not be done, neither stays.
    await _audit_member(session, "member.removed", member, role=member.role)
    try:
        removed = await repository.remove_member(session, organization_id, user_id)
    except IntegrityError:
        raise Conflict("This is the last owner. Make another member an owner first.") from None
    if not removed:
        raise NotFound(f"There is no member {user_id} that you may remove.")


async def create_key(session: TenantSession, organization_id: UUID, new: NewKey) -> tuple[ApiKeyRow, str]:
    """Make an API key; returns its row and the key itself, for the only time.

    Raises:
        InvalidInput: a scope that doesn't exist, or that the calling key doesn't have itself; an end that is over, or
            after the calling key's own.
    """
    _check_scopes(session.principal, new.scopes)
    await _check_end(session, new.expires_at)
    key = make_key()
    row = ApiKeyRow(
        id=new_id(),
        organization_id=organization_id,
        name=new.name,
        prefix=key[:SHOWN],
        key_hash=hash_of(key),
        scopes=new.scopes,
        expires_at=new.expires_at,
        created_by=actor_id(session.principal),
    )
    await repository.add(session, row)
    await audit(session, organization_id, "key.created", "api_keys", row.id)
    return row, key


async def _check_end(session: TenantSession, end: datetime | None) -> None:
    """A key can't give away more time than it has itself."""
    if end is not None and end <= datetime.now(UTC):
        raise InvalidInput(f"{end.isoformat()} is over. Choose a time to come.", field="expires_at")
    if not isinstance(session.principal, ApiKey):
        return
    own = await repository.key(session, session.principal.key_id)
    last = own.expires_at if own is not None else None
    if last is not None and (end is None or end > last):
        raise InvalidInput(
            f"The calling key expires at {last.isoformat()}, and can't make one that lives longer."
            " Set expires_at to that or earlier.",
            field="expires_at",
        )


async def revoke_key(session: TenantSession, key_id: UUID) -> ApiKeyRow:
    """Revoke a key, from the next request on.

    Raises:
        NotFound: there is none of this id for the caller.
    """
    row = await repository.key(session, key_id)
    if row is None:
        raise NotFound(f"There is no API key {key_id}.")
    if row.revoked_at is None:
        row.revoked_at = datetime.now(UTC)
        await audit(session, row.organization_id, "key.revoked", "api_keys", key_id)
    return row


async def list_keys(session: TenantSession, limit: int, after: UUID | None) -> Sequence[ApiKeyRow]:
    """Keys by id."""
    return await repository.keys(session, limit, after)


async def store_credential(
    session: TenantSession, organization_id: UUID, new: NewCredential, vault: Vault
) -> Credential:
    """Encrypt and store a provider's key.

    Raises:
        NameTaken: the name is in use.
    """
    row_id = new_id()
    row = Credential(
        id=row_id,
        organization_id=organization_id,
        name=new.name,
        provider=new.provider,
        base_url=new.base_url,
        ciphertext=vault.seal(new.secret, KeptFor(organization_id, row_id, new.provider, new.base_url)),
        hint=new.secret[-4:] if len(new.secret) >= 16 else "",
        created_by=actor_id(session.principal),
    )
    try:
        await repository.add(session, row)
    except IntegrityError:
        raise NameTaken(f"There is a credential named {new.name!r} already.", field="name") from None
    await audit(session, organization_id, "credential.stored", "credentials", row_id)
    return row


async def list_credentials(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Credential]:
    """Credentials by id, without their ciphertexts."""
    return await repository.credentials(session, limit, after)


async def open_credential(
    session: TenantSession,
    organization_id: UUID,
    credential_id: UUID,
    vault: Vault,
    *,
    provider: str,
    base_url: str | None,
) -> SecretStr:
    """A stored key in the clear, to be sent to this provider at this address (None: the provider's own).

    Raises:
        NotFound: the credential was deleted.
        SetupError: the key is for another provider or address, or can't be decrypted.
    """
    row = await repository.credential(session, credential_id)
    if row is None:
        raise NotFound(f"The agent's credential {credential_id} no longer exists. Choose another.")
    wanted = KeptFor(organization_id, credential_id, provider, base_url.rstrip("/") if base_url else None)
    if (row.provider, row.base_url) != (wanted.provider, wanted.base_url):
        raise SetupError(
            f"The credential {row.name!r} is for {_place(row.provider, row.base_url)}, and is sent nowhere else,"
            f" so not to {_place(wanted.provider, wanted.base_url)}. Choose another credential."
        )
    return SecretStr(vault.open(row.ciphertext, wanted))


def _place(provider: str, base_url: str | None) -> str:
    return f"{provider} at {base_url or 'its own address'}"


async def delete_credential(session: TenantSession, credential_id: UUID) -> None:
    """Remove a credential.

    Raises:
        NotFound: there is none of this id for the caller.
    """
    organization_id = await repository.delete_credential(session, credential_id)
    if organization_id is None:
        raise NotFound(f"There is no credential {credential_id}.")
    await audit(session, organization_id, "credential.deleted", "credentials", credential_id)


async def _audit_member(session: TenantSession, action: str, member: OrganizationMember, **details: str | None) -> None:
    told = {"user_id": str(member.user_id), **details}
    await audit(session, member.organization_id, action, "organization_members", member.id, told)


async def audit(
    session: TenantSession,
    organization_id: UUID,
    action: str,
    object_type: str,
    object_id: UUID | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record what was done, in the same transaction."""
    principal = session.principal
    actor = principal.key_id if isinstance(principal, ApiKey) else actor_id(principal)
    await repository.add(
        session,
        AuditLog(
            id=new_id(),
            organization_id=organization_id,
            actor_kind=principal.kind,
            actor_id=actor,
            action=action,
            object_type=object_type,
            object_id=object_id,
            details=dict(details or {}),
        ),
    )


def _check_scopes(caller: Principal, wanted: list[str]) -> None:
    unknown = sorted(set(wanted) - {*SCOPES, "*"})
    if unknown:
        raise InvalidInput(f"Unknown scope {unknown[0]!r}. Scopes are: *, {', '.join(SCOPES)}.", field="scopes")
    if isinstance(caller, ApiKey) and "*" not in caller.scopes:
        beyond = sorted(set(wanted) - caller.scopes)
        if beyond:
            raise InvalidInput(f"This key can't give away {beyond[0]!r}: it doesn't have it itself.", field="scopes")
