"""A run that ends in the middle of something, as one that is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.pipeline import compress


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


def killed_at(
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    config: CompressionConfig,
    *,
    time: int = 1,
    once_done: bool = False,
) -> Path:
    """The folder of a run that was killed at a call.

    Args:
        monkeypatch: Of the test.
        place: What has the function.
        name: Of the function.
        config: Of the run.
        time: At which call of it, from 1.
        once_done: After that call, and not before.
    """
    function, calls = getattr(place, name), [0]

    def kill(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == time and not once_done:
            raise Killed
        result = function(*arguments)
        if calls[0] == time:
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(place, name, kill)
        with pytest.raises(Killed):
            compress(config)
    return Path(config.output_dir)
