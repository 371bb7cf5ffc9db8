"""Every check, one file each. A module with a `CHECK` in this folder is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from trunkline.readiness.check import Check


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, by code."""
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    return tuple(sorted((module.CHECK for module in modules), key=lambda check: check.code))
