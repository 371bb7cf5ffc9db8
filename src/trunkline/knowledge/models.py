"""Tables of knowledge."""

from __future__ import annotations

from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, Computed, Index, Integer, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from trunkline.db.access import AUTHENTICATED, SERVICE, Allow, claimed, claimed_unbound, member, under
from trunkline.db.base import Base, Created, Tenant, Updated, belongs_to, parent_key

DIMENSIONS = 384
"""Length of an embedding: that of MiniLM-L6, the bundled model."""

_DERIVED = {"columns": {"organization_id": {"derived": True}}}
"""A trigger takes it from the parent."""

_ACCESS = {
    "access": (
        Allow(AUTHENTICATED, ("select",), member()),
        Allow(AUTHENTICATED, ("insert", "update", "delete"), member("member")),
        Allow(SERVICE, ("select",), claimed()),
        Allow(SERVICE, ("insert", "update", "delete"), claimed_unbound()),
    )
}


class KnowledgeBase(Tenant, Updated, Base):
    """A named collection of sources that agents can be given."""

    __tablename__ = "knowledge_bases"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        parent_key(),
        CheckConstraint("char_length(name) between 1 and 120", "name"),
        {"info": _ACCESS},
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=sql("''"))
    embedding_model: Mapped[str]


class KnowledgeSource(Tenant, Updated, Base):
    """One file, page or text of a knowledge base."""

    __tablename__ = "knowledge_sources"
    __table_args__ = (
        belongs_to("knowledge_base_id", "knowledge_bases"),
        parent_key(),
        Index(None, "knowledge_base_id"),
        CheckConstraint("kind in ('file', 'url', 'text')", "kind"),
        CheckConstraint("status in ('pending', 'ready', 'failed')", "status"),
        {"info": _ACCESS | _DERIVED},
    )

    knowledge_base_id: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str]
    uri: Mapped[str | None]
    content_hash: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=sql("'pending'"))
    error: Mapped[str | None]


_OF_SEEN_SOURCE = under("knowledge_sources", "knowledge_chunks.source_id")


class KnowledgeChunk(Tenant, Created, Base):
    """A passage of a source: what retrieval finds."""

    __tablename__ = "knowledge_chunks"
    __table_args__ = (
        belongs_to("source_id", "knowledge_sources"),
        UniqueConstraint("source_id", "position"),
        Index(None, "organization_id"),
        Index(
            "knowledge_chunks_embedding_idx",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
        Index("knowledge_chunks_search_idx", "search", postgresql_using="gin"),
        {
            "info": {
                **_DERIVED,
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(
                        AUTHENTICATED,
                        ("insert", "update", "delete"),
                        member("member"),
                        check=f"{member('member')} and {_OF_SEEN_SOURCE}",
                    ),
                    Allow(SERVICE, ("select",), claimed()),
                    Allow(
                        SERVICE,
                        ("insert", "update", "delete"),
                        claimed_unbound(),
                        check=f"{claimed_unbound()} and {_OF_SEEN_SOURCE}",
                    ),
                ),
            }
        },
    )

    source_id: Mapped[UUID]
    position: Mapped[int] = mapped_column(Integer())
    text: Mapped[str]
    embedding: Mapped[list[float] | None] = mapped_column(Vector(DIMENSIONS))
    search: Mapped[str | None] = mapped_column(TSVECTOR(), Computed("to_tsvector('simple', text)", persisted=True))
