"""Optimum Intel 1.27: `INCTrainer` with a scheduler, and `inc_config.json`.

Raises:
    HostError: Optimum Intel or Neural Compressor is missing, or of a release without `INCTrainer`.
"""

from minidisc_plugin.integrations.hosts import require

require("host", "inc")

from minidisc_plugin.integrations.optimum.trainer import ScheduledINCTrainer  # noqa: E402
from minidisc_plugin.integrations.optimum.trainer_arguments import trainer_arguments  # noqa: E402

__all__ = ["ScheduledINCTrainer", "trainer_arguments"]
