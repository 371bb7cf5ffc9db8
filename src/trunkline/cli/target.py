"""What `trunkline readiness` compares with: our own models, or anybody's by name."""

from __future__ import annotations

import contextlib
import importlib
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.errors import SetupError

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from trunkline.readiness.target import Target

_USUAL_NAMES = ("Base", "metadata")
"""What a module's models hang on, where the name of it isn't given."""


def load_target(models: str | None) -> Target:
    """The target: Trunkline's own, or what `package.module:Base` declares.

    Raises:
        SetupError: the module can't be imported, declares no tables, or none that PostgreSQL can have.
    """
    from trunkline.readiness.target import CannotCompare, target_of

    if models is None:
        return target_of(_own_metadata(), name="Trunkline")
    metadata = _metadata(models)
    if not metadata.tables:
        raise SetupError(
            f"{models} declares no tables. Name the module that imports all models, as package.models:Base."
        )
    try:
        return target_of(metadata, name=models)
    except CannotCompare as error:
        raise SetupError(error.detail) from None


def _own_metadata() -> MetaData:
    try:
        from trunkline.models import Base
    except ModuleNotFoundError as error:
        raise SetupError(
            f"Trunkline's own models need the package {error.name!r}. Install the server"
            " (pip install 'trunkline[server]'), or say which models to compare with: --models package.module:Base."
        ) from None
    return Base.metadata


def _metadata(models: str) -> MetaData:
    from sqlalchemy import MetaData

    module_name, _, path = models.partition(":")
    module = _imported(module_name)
    names = [path] if path else [name for name in _USUAL_NAMES if hasattr(module, name)]
    if not names:
        raise SetupError(f"The module {module_name} has no Base and no metadata. Say what to take: {module_name}:NAME.")
    try:
        found = attrgetter(names[0])(module)
    except AttributeError:
        raise SetupError(f"The module {module_name} has no {names[0]}.") from None
    metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise SetupError(f"{models} is neither SQLAlchemy's MetaData nor a class with one, as a DeclarativeBase is.")
    return metadata


def _imported(name: str) -> Any:
    """A module of the user's, found from the current folder too; what it prints goes to stderr."""
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise SetupError(f"{name!r} is no module's name. Give it as Python imports it: package.module:Base.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a module of anybody's may fail in any way
        reason = " ".join(str(error).split())[:200]
        raise SetupError(
            f"The module {name} can't be imported from {here}: {type(error).__name__}: {reason.rstrip('.')}."
        ) from None
