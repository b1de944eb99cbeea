"""`optimum-cli compress`: the command line of minidisc-plugin among Optimum's; found by Optimum in its namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo

if TYPE_CHECKING:
    from argparse import ArgumentParser


class CompressCommand(BaseOptimumCLICommand):
    """Plan, run and report a compression; the subcommands are those of `minidisc`."""

    COMMAND = CommandInfo(name="compress", help="Compress a model through the best teacher assistant.")

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Add the subcommands."""
        from minidisc_plugin.cli import add_commands

        add_commands(parser)

    def run(self) -> None:
        """Run the subcommand that was given.

        Raises:
            SystemExit: with its exit status, when it failed.
        """
        from minidisc_plugin.cli import execute

        if status := execute(self.args, own_process=True):
            raise SystemExit(status)


REGISTER_COMMANDS = [CompressCommand]
