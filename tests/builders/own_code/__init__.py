"""A model whose class comes with it, as files beside its config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.builders.tiny import VOCABULARY

FILES = ("configuration_tiny.py", "modeling_tiny.py", "parts_tiny.py")


def write_own_code(folder: Path) -> None:
    """Write its files and its config, without weights."""
    for name in FILES:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
    config = {
        "model_type": "tiny_of_its_own",
        "architectures": ["TinyForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "configuration_tiny.TinyConfig",
            "AutoModelForSequenceClassification": "modeling_tiny.TinyForSequenceClassification",
        },
        "vocab_size": len(VOCABULARY),
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
