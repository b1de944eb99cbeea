"""Makes docs/families.md from declarations and tests: `python -m tests.repository.families_table`."""

from __future__ import annotations

import sys
from pathlib import Path

from minidisc_plugin.nested.families import FAMILIES
from minidisc_plugin.nested.family import Family
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.undeclared import DERIVED, REFUSED, is_derived_here
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

## Derived families

Of an architecture that nobody declared, a family is derived from what flows where in a forward pass: the projections
that read their input in units of their own are found by gradients, not by name. Then it is verified, in fp64, on a copy
of the model with noise on its weights, on random inputs:

1. In every layer, another order of the units changes nothing that the model returns.
2. In every layer, half of the units left out, and all of them, change what zeroing their columns of the output
   projection changes.
3. A student of half the units computes what its slice does, saved, and loaded by a process that cannot import this
   package.

What passes is used, and log, plan, report and model card say that it was derived; the student's `config.json` holds
it (`layer_layouts`), so that it can be compressed further. What does not pass is refused before anything is trained,
by the place that failed. This takes seconds for a small model, and 39 s for the 110 million parameters of MPNet-base
on one core beside other work; and eight bytes a parameter. `minidisc family MODEL` does it without a run, and prints
the declaration for a plug-in ([hooks.md](hooks.md#minidisc_register_families)), which spares it from then on.

| of those tried | |
| --- | --- |
| derived and verified | DERIVED |
| the same, on transformers 5 alone | LATER |
| refused | REFUSED |

Heads are refused where a norm or a convolution goes over all of them (OLMo 2, ConvBERT), where something with an
entry a head is no projection (ALiBi in BLOOM and MPT, Swin's table, the biases of DeBERTa's first version), or where
the code counts on all of them (Phi-3, Longformer). A projection whose class only derives from torch's is none (Falcon,
I-BERT). The proof is about what a model computes; exports of derived families are not tested one by one.

## Models with code of their own

A teacher whose class is in files beside its weights works the same way where `trust_remote_code: true` allows it: a
family is declared by nobody, so one is derived. These files are copied beside the student, which loads by
`from_pretrained(..., trust_remote_code=True)`, or by `minidisc_plugin.load(..., trust_remote_code=True)`; without that
word nothing of them is run; `minidisc family MODEL --trust-remote-code` is the same. The steps `export` and
`quantization` are refused, before anything is trained: what they make is opened where that code is not.

## Limits

Where nothing is left of a layer, a module without weights stands in its place. PEFT finds the targets of LoRA by
name, also there, and refuses them: name those in `exclude_modules`, or compress with `allocation: uniform`.
"""


def table() -> str:
    """The file."""
    rows = [["family", "transformers", "units", "tasks", "uniform student", "exported"], ["---"] * 6]
    rows += [_row(family) for family in FAMILIES]
    here = [name for name in DERIVED if is_derived_here(name)]
    named = {"DERIVED": here, "LATER": [name for name in DERIVED if name not in here], "REFUSED": list(REFUSED)}
    tail = TAIL
    for place, names in named.items():
        tail = tail.replace(place, ", ".join(f"`{name}`" for name in names))
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + tail


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
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto

    # Encoders, and the decoders of encoder-decoders, are not taken on their own as language models.
    not_causal = len(family.layouts[0].heads) > 1 or "is_decoder" in dict(family.refuses)
    known = family.model_type in CONFIG_MAPPING
    config = CONFIG_MAPPING[family.model_type]() if known else None
    not_embedded = config is None or config.is_encoder_decoder or not hasattr(config, "vocab_size")
    # Parts of pictures have a vocabulary in BEiT, and letters that are heard one in Wav2Vec2.
    not_embedded = not_embedded or hasattr(config, "patch_size") or hasattr(config, "conv_kernel")
    return [
        name
        for name, task in TASKS.items()
        if family.model_type in getattr(modeling_auto, task.auto_class)._model_mapping._model_mapping
        and not (name == "text-generation" and not_causal)
        and not (name == "feature-extraction" and not_embedded)
    ]


if __name__ == "__main__":
    sys.stdout.write(table())
