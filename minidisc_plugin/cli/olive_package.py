"""`minidisc olive-package`: Olive's table of passes with ours in it, printed or written."""

from __future__ import annotations

import argparse
from pathlib import Path

_EPILOG = """\
Microsoft Olive finds the passes of a workflow in a table of its own; the one that this command prints has ours, too:

  minidisc olive-package --out package.json
  olive run --config workflow.json --package-config package.json

In workflow.json, a pass of `"type": "MiniDisc"` then takes the teacher that input_model names, chooses the assistant,
distils the student, and hands it to the next pass. Its parameters are the keys of a compression config: dataset,
metric, pruning, training ... Print the table again after an update of Olive.
"""


def olive_package_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command, and what to do with what it prints."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="write the table to FILE (replaced if it exists) and print nothing"
    )


def olive_package_command(options: argparse.Namespace) -> None:
    """`minidisc olive-package`.

    Raises:
        ConfigError: `--out` is a folder.
        StorageError: it cannot be written.
    """
    from minidisc_plugin.foundation.atomic import write_text
    from minidisc_plugin.foundation.errors import ConfigError
    from minidisc_plugin.foundation.printable import printable
    from minidisc_plugin.foundation.storage import storage_errors
    from minidisc_plugin.olive.package import package_table

    if options.out is not None and options.out.is_dir():
        raise ConfigError(f"--out: {printable(str(options.out))} is a folder; give a file")
    table = package_table()
    if options.out is None:
        print(table, end="")
        return
    with storage_errors(options.out):
        write_text(options.out, table)
