"""Neural Compressor 3.8 and newer: `quantize`, `prepare` with `convert`, and `autotune` that run a schedule.

Importing this package registers the algorithm `minidisc` and its config with Neural Compressor, and changes nothing
else of it. Neural Compressor looks for no entry points, so this import comes before the first call.

Raises:
    HostError: Neural Compressor is missing, or of a release that does not take other people's algorithms.
"""

from minidisc_plugin.integrations.hosts import require

require("host", "inc3")

from minidisc_plugin.integrations.inc3.algorithm import run_schedule  # noqa: E402
from minidisc_plugin.integrations.inc3.config import MiniDiscConfig  # noqa: E402
from minidisc_plugin.integrations.inc3.trial import Trial  # noqa: E402

__all__ = ["MiniDiscConfig", "Trial", "run_schedule"]
