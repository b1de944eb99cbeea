"""Where a model is: in a folder on this machine, or on the Hub."""

from __future__ import annotations

import os

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.explain import one_line


def is_local(name: str, where: str) -> bool:
    """Whether a name is that of something on this machine; else it is one of the Hub.

    Raises:
        ConfigError: it can be neither.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        if os.path.lexists(name):
            return True
        validate_repo_id(name)
    except (OSError, ValueError) as error:
        reason = "" if isinstance(error, HFValidationError) else f" ({one_line(error)})"
        raise ConfigError(f"{where} cannot be loaded: there is no such folder{reason}") from error
    if name.startswith((".", "~")):
        raise ConfigError(f"{where} cannot be loaded: there is no such folder")
    return False
