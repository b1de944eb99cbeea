"""What the datasets' cache knows a data set by: the content of its files, not their times of change."""

from __future__ import annotations

import hashlib
from typing import Any

from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.run.data.files import local_files


def content_key(config: Any) -> dict[str, str]:
    """An option of a loader that differs with the content of its files; none where no file lies on this machine.

    `datasets` takes a file of the same path and time of change for the same, and archives, `cp -p` and `rsync -t` keep
    that time. A description changes nothing that is read, and is part of the cache's key.

    Args:
        config: Of the loader.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    files = list(local_files(config))
    for split, path in files:
        digest.update(f"{split} {sha256_of(path)} ".encode())
    return {"description": f"sha256 {digest.hexdigest()}"} if files else {}
