"""These tests need Neural Compressor 3.8 or newer, which today's stack has."""

from __future__ import annotations

from minidisc_plugin.integrations.hosts import available

if not available("host", "inc3"):
    collect_ignore_glob = ["test_*.py"]
