"""Makes docs/families.md from declarations and tests: `python -m tests.repository.families_table`."""

from __future__ import annotations

import sys
from pathlib import Path

from minidisc_plugin.nested.families import FAMILIES
from minidisc_plugin.nested.family import Family
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.zoo import EXPORTED, SINCE

FILE = Path(__file__).resolve().parents[2] / "docs" / "families.md"

HEAD = """# Families

Made by `python -m tests.repository.families_table`, on the frozen stack; edit the code, not this file.

A family says where the attention heads and the feed-forward neurons of one architecture live. Each one below is
tested on transformers 4.57 and 5.24, and was on the release that it is said to work from: slices compute what the
extracted models do, these load and compute the same where this package is not installed, a step trains the slice
only, all that it changes is saved, and smaller scales are within larger ones.

- **units**: what is kept or left out whole. Where several query heads share a key-value head, the whole group is
  one unit. *tied*: all layers keep the same heads, because they share a table of position biases with one column a
  head. ALBERT's layers share their weights, so one set of slices serves all of them.
- **tasks**: those of [tasks.md](tasks.md) that transformers has a model class for.
- **uniform student**: with `scheduler_config.allocation: uniform` every layer is equally wide. *stock*: the config
  of the family can say so, and plain `from_pretrained` loads the student. Otherwise, and with `allocation: global`,
  a short modelling file beside the weights does (`trust_remote_code=True`), or `minidisc_plugin.load` without it.
- **exported**: slices whose layers differ in width were compared with torch in these runtimes, on both stacks
  unless one is named.

"""

TAIL = """
Llama's config wants the number of heads to divide the width of the model from transformers 5 on, so other numbers
are saved with a modelling file; so is Qwen2 on transformers 4.45, whose config has no `head_dim`. Optimum exports no
T5 encoder alone.

Any other architecture is refused with its model type and this list. A plug-in adds one by
[a hook](hooks.md#minidisc_register_families).

Where nothing is left of a layer, a module without weights stands in its place. PEFT finds the targets of LoRA by
name, also there, and refuses them: name those in `exclude_modules`, or compress with `allocation: uniform`.
"""


def table() -> str:
    """The file."""
    rows = [["family", "transformers", "units", "tasks", "uniform student", "exported"], ["---"] * 6]
    rows += [_row(family) for family in FAMILIES]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + TAIL


def _row(family: Family) -> list[str]:
    heads = [place for layout in family.layouts for place in layout.heads]
    units = "groups of heads" if any(place.grouped for place in heads) else "heads"
    if any(place.tied for place in heads):
        units += ", tied"
    since = f"{SINCE[family.model_type]} on"
    return [
        f"`{family.model_type}`",
        since,
        f"{units}; neurons",
        ", ".join(_tasks(family)) or "none yet",
        "stock" if family.stock else "modelling file",
        EXPORTED[family.model_type],
    ]


def _tasks(family: Family) -> list[str]:
    from transformers.models.auto import modeling_auto

    # Encoders, and the decoders of encoder-decoders, are not taken on their own as language models.
    not_causal = len(family.layouts[0].heads) > 1 or "is_decoder" in dict(family.refuses)
    return [
        name
        for name, task in TASKS.items()
        if family.model_type in getattr(modeling_auto, task.auto_class)._model_mapping._model_mapping
        and not (name == "text-generation" and not_causal)
    ]


if __name__ == "__main__":
    sys.stdout.write(table())
