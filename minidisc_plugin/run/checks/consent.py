"""What runs code that came from elsewhere needs the user's consent, in one key, before anything of it is looked at.

Models and tokenizers are asked for by transformers; here is all else that a config can name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError, MetricError
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Loaders of `datasets` that unpickle, which runs what a file says.
_UNPICKLING = frozenset({"pandas"})
# Steps that open what they make as the runtimes' users do.
_WITHOUT_CODE = ("export", "quantization")


def check_consent(config: CompressionConfig) -> None:
    """Refuse a metric or a dataset that would run code, unless `trust_remote_code` allows it.

    A shipped metric is always this package's, whatever lies in the working directory under its name.

    Raises:
        MetricError: the metric is a folder, a file, or on the Hub.
        ConfigError: the dataset is read from pickles.
    """
    from minidisc_plugin.metrics import shipped_metrics

    if config.trust_remote_code:
        return
    shipped = shipped_metrics()
    for name in (config.metric.name, *config.generation.metrics):
        if name not in shipped:
            raise MetricError(
                f"metric {shown(name)} is not one of those shipped ({', '.join(shipped)}), and others run code of "
                "their own; name a shipped one, or set trust_remote_code: true if you trust that code"
            )
    if config.dataset.path in _UNPICKLING:
        raise ConfigError(
            f"dataset.path: {config.dataset.path!r} reads pickles, which can run code; give csv, json or parquet, or "
            "set trust_remote_code: true if you trust the files"
        )


def check_own_code(config: CompressionConfig, teacher: PreTrainedModel) -> None:
    """Refuse steps that open models where their code is not, for a teacher that comes with its own.

    Raises:
        ConfigError: names the step.
    """
    from minidisc_plugin.nested.remote import own_class

    step = next((step for step in config.steps if step in _WITHOUT_CODE), None)
    if step is not None and own_class(type(teacher)) is not None:
        raise ConfigError(
            f"steps: {step!r} makes models that are opened without code of their own, and {type(teacher).__name__} "
            "needs its own; leave the step out, or give a teacher of a class of transformers"
        )
