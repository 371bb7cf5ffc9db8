"""HTML by functions: whatever isn't HTML already is escaped, so that no name in a database becomes markup."""

from __future__ import annotations

from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """One element. Attributes are given as `class_`, `aria_label`: underscores stand for hyphens."""
    given = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))
