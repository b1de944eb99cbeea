"""The pass needs Olive, which the Intel stack does not have; its telemetry stays off."""

from __future__ import annotations

import importlib.util
import os

os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # before Olive is imported

if importlib.util.find_spec("olive") is None:
    collect_ignore = ["test_parameters.py", "test_pass.py", "test_workflow.py"]
