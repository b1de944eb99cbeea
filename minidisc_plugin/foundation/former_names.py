"""Modules under the names that they had before the rooms; plug-ins that were written for those go on to work."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ROOT = "minidisc_plugin"
FORMER = {
    f"{_ROOT}.config": f"{_ROOT}.contracts.config",
    f"{_ROOT}.deployment": f"{_ROOT}.contracts",
    f"{_ROOT}.deployment.artefact": f"{_ROOT}.contracts.artefact",
    f"{_ROOT}.errors": f"{_ROOT}.foundation.errors",
    f"{_ROOT}.hookspecs": f"{_ROOT}.contracts.hookspecs",
    f"{_ROOT}.pipeline": f"{_ROOT}.run.pipeline",
    f"{_ROOT}.reporting": f"{_ROOT}.contracts",
    f"{_ROOT}.reporting.records": f"{_ROOT}.contracts.records",
    f"{_ROOT}.schedulers.base": f"{_ROOT}.contracts.scheduler",
    f"{_ROOT}.steps": f"{_ROOT}.contracts.run",
    f"{_ROOT}.training.objectives": f"{_ROOT}.objectives",
}


class FormerNames(MetaPathFinder, Loader):
    """Finds a module under its former name, with a DeprecationWarning that tells the new one."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See MetaPathFinder."""
        return ModuleSpec(fullname, self) if fullname in FORMER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See Loader; the module of today, which keeps its own specification."""
        name = FORMER[spec.name]
        warnings.warn(f"{spec.name} is {name} now", DeprecationWarning, stacklevel=2)
        module = import_module(name)
        self._own[name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """See Loader; it was executed when it was imported."""
        module.__spec__ = self._own[module.__name__]


def keep_former_names() -> None:
    """Let modules be imported under their former names in this process."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, FormerNames())  # ahead of those that find a former package's modules as new ones
