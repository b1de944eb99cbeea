"""`python -m minidisc_plugin.cli`, as `torchrun` starts it."""

import sys

from minidisc_plugin.cli import main

sys.exit(main())
