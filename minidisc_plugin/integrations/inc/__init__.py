"""Neural Compressor 3.7: its pruning, its distillation and `prepare_compression`, with a scheduler.

Importing this package registers the pruning type `minidisc` and the distillation loss `MiniDiscLoss` with Neural
Compressor, and changes nothing else of it.

Raises:
    HostError: Neural Compressor is missing, or of a release that cannot prune and distil.
"""

from minidisc_plugin.integrations.hosts import require

require("host", "inc")

from minidisc_plugin.integrations.inc.compression import prepare_compression  # noqa: E402
from minidisc_plugin.integrations.inc.criterion import MiniDiscLoss, MiniDiscLossConfig  # noqa: E402
from minidisc_plugin.integrations.inc.pruner import MiniDiscPruner, slim  # noqa: E402

__all__ = ["MiniDiscLoss", "MiniDiscLossConfig", "MiniDiscPruner", "prepare_compression", "slim"]
