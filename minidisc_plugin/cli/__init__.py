"""The command `minidisc`: its arguments, and one short function per subcommand."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from minidisc_plugin.cli.family import family_arguments, family_command
from minidisc_plugin.cli.frontier import frontier_arguments, frontier_command
from minidisc_plugin.cli.olive_package import olive_package_arguments, olive_package_command
from minidisc_plugin.cli.select import select_arguments, select_command
from minidisc_plugin.foundation.errors import MinidiscError, StorageError
from minidisc_plugin.foundation.printable import one_line, printable
from minidisc_plugin.foundation.process_memory import restart_without_thread_cache
from minidisc_plugin.foundation.standard_streams import OutputError, checked_output, say

_DESCRIPTION = """\
Compress a fine-tuned transformer: choose the best teacher assistant in one trial, and distil a small student
through it. A run is described by a compression config; the line `scheduler: minidisc` in it does the rest.
"""

_EPILOG = """\
a first run:
  minidisc plan compression.yaml       what would be trained, and what it costs
  minidisc run compression.yaml        do it
  minidisc report runs/movie           the table again, later
  minidisc frontier runs/movie         what is the best for its size, and for its speed

a config:
  model: path/or/hub-id                # a fine-tuned teacher
  dataset: {path: csv, data_files: {train: train.csv, test: test.csv}, text: [sentence], label: label}
  metric: accuracy
  pruning: {target_sparsity: 0.9}      # the student keeps a tenth of the heads and neurons; [0.5, 0.9]: two students
                                       # or {max_loss: 0.01}: the smallest that loses a point at most
  scheduler: minidisc
  training: {num_train_epochs: 4, learning_rate: 1.0e-4}
  output_dir: runs/movie

exit status: 0 done; 1 training failed, or (plugins) a plug-in is broken, or nothing can be printed;
             2 the config, the data, the disk or the arguments cannot be used
"""


# What they say as they are imported, or as models are traced, is about kernels and types that no CPU has a use for.
_TALKERS = ("torchao", "torch.utils._pytree", "nncf")


class _Parser(argparse.ArgumentParser):
    """Arguments that cannot be used are named as they are, without what a terminal would act on."""

    def error(self, message: str) -> NoReturn:
        """As argparse."""
        super().error(one_line(message))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, this process's own when left out; returns the exit status."""
    try:
        with checked_output():
            options = make_parser().parse_args(arguments)
    except OutputError as error:
        return error.tell()
    return execute(options, own_process=arguments is None)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        "minidisc", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_commands(parser)
    return parser


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; after parsing, `execute` runs the one that was given."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _command(commands, "run", run_command, "choose the assistant, distil the student, measure, report")
    _config_arguments(run)
    held = run.add_mutually_exclusive_group()
    held.add_argument(
        "--overwrite", action="store_true", help="replace the run that output_dir holds, once the new one is whole"
    )
    held.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run that output_dir holds, from its last whole checkpoint, over the same inputs",
    )

    plan = _command(
        commands, "plan", plan_command, "show candidates, steps, relative cost and time; trains and writes nothing"
    )
    _config_arguments(plan)
    plan.add_argument(
        "--no-calibration",
        action="store_true",
        help="price stages by MACs alone; time no passes on this machine",
    )

    select = _command(
        commands, "select", select_command, "choose again from the recorded metrics of a run; trains nothing"
    )
    select_arguments(select)

    report = _command(commands, "report", report_command, "print the tables of one run, or of several side by side")
    report.add_argument("run_dir", metavar="RUN_DIR", type=Path, nargs="+", help="output directory of a run")

    frontier = _command(
        commands,
        "frontier",
        frontier_command,
        "print what is the best for its size and speed, of one run or of several",
    )
    frontier_arguments(frontier)

    family = _command(
        commands,
        "family",
        family_command,
        "print where the heads and neurons of a model live; derived, if nobody declared it",
    )
    family_arguments(family)

    _command(commands, "plugins", plugins_command, "list the schedulers found, their distributions, or their errors")
    _command(commands, "doctor", doctor_command, "check the installed versions, and say which pin would help")

    olive = _command(
        commands, "olive-package", olive_package_command, "print Olive's table of passes with our pass MiniDisc in it"
    )
    olive_package_arguments(olive)


def execute(options: argparse.Namespace, *, own_process: bool) -> int:
    """Run the parsed subcommand; errors are printed in one line.

    Args:
        options: What the parser found.
        own_process: This process is for the command alone, so a run may start it again (see `memory`).

    Returns:
        The exit status.
    """
    if own_process and options.command is run_command:
        restart_without_thread_cache()
    for talker in _TALKERS:
        logging.getLogger(talker).setLevel(logging.ERROR)
    try:
        with checked_output():
            _check_working_directory()
            return int(options.command(options) or 0)
    except OutputError as error:
        return error.tell()
    except MinidiscError as error:
        return _failed(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _failed("interrupted; `minidisc run CONFIG --resume` goes on from the last checkpoint", 130)
    except Exception as error:
        from minidisc_plugin.foundation.storage import storage_error

        refused = storage_error(error)
        if refused is None:
            raise
        return _failed(str(refused), refused.exit_status)


def _check_working_directory() -> None:
    """Refuse one that is gone: libraries look for themselves from there, and end the process."""
    try:
        os.getcwd()
    except OSError as error:
        raise StorageError(f"the working directory: {error.strerror}", "change into one that is there") from error


def _failed(message: str, status: int) -> int:
    """Print what every failed command prints: one line."""
    say(message)
    return status


def run_command(options: argparse.Namespace) -> None:
    """`minidisc run`."""
    from minidisc_plugin.run.config.file import read_config

    config = read_config(options.config, options.overrides)  # a mistake in it is told before torch is imported
    from minidisc_plugin.contracts.records import students_in
    from minidisc_plugin.foundation.processes import is_writer
    from minidisc_plugin.run.pipeline import compress
    from minidisc_plugin.run.reporting.tables import print_report

    _log_stages()
    result = compress(config, overwrite=options.overwrite, resume=options.resume)
    if not is_writer():
        return
    students = students_in(result.output_dir)
    print_report(students)
    _print_pictures([result.output_dir])
    for folder in students:
        print(printable(f"student: {folder / 'student'}"))


def plan_command(options: argparse.Namespace) -> None:
    """`minidisc plan`."""
    from minidisc_plugin.run.config.file import read_config

    config = read_config(options.config, options.overrides)
    from minidisc_plugin.run.plan.plan import make_plan
    from minidisc_plugin.run.reporting.plan_table import print_plan

    print_plan(make_plan(config, calibrated=not options.no_calibration))


def report_command(options: argparse.Namespace) -> None:
    """`minidisc report`."""
    from minidisc_plugin.contracts.records import students_in
    from minidisc_plugin.run.reporting.tables import print_report

    print_report([student for run_dir in options.run_dir for student in students_in(run_dir)])
    _print_pictures(options.run_dir)


def plugins_command(options: argparse.Namespace) -> int:
    """`minidisc plugins`; status 1 when one is broken."""
    from minidisc_plugin.plugins import host
    from minidisc_plugin.run.reporting.plugin_table import print_plugins

    found = host().found()
    print_plugins(found)
    return int(any(plugin.error for plugin in found))


def doctor_command(options: argparse.Namespace) -> None:
    """`minidisc doctor`."""
    from minidisc_plugin.cli.doctor import render
    from minidisc_plugin.integrations.requirements.diagnosis import diagnose

    print(render(diagnose()))


def _print_pictures(run_dirs: Sequence[Path]) -> None:
    """Say where the plots are; a run that compared no candidates has one."""
    from minidisc_plugin.contracts.records import students_in

    for run_dir in run_dirs:
        students = students_in(run_dir)
        pictures = [*(student / "tradeoff.png" for student in students), run_dir / "frontier.png"]
        for picture in filter(Path.exists, pictures):
            print(printable(f"plot: {picture}"))


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, function: object, summary: str
) -> argparse.ArgumentParser:
    sentence = f"{summary[0].upper()}{summary[1:]}."
    parser = commands.add_parser(name, help=summary, description=sentence)
    parser.set_defaults(command=function)
    return parser


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="compression config, YAML or JSON")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one key, such as --set scheduler_config.lambda=0.3; may be given several times",
    )


def _log_stages() -> None:
    """Say on standard error which stage begins, among the progress bars, and keep the hosts' own talk out."""
    import warnings

    from rich.console import Console
    from rich.logging import RichHandler

    from minidisc_plugin.foundation.processes import is_writer
    from minidisc_plugin.run.reporting.console import SafeFormatter

    os.environ.setdefault("LOGLEVEL", "ERROR")  # Neural Compressor's
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module=r"(torch|transformers|neural_compressor|optimum|openvino|nncf)(\.|$)")
    warnings.filterwarnings("ignore", message=".*optimum.intel.neural_compressor.* is deprecated")
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False, log_time_format="%H:%M:%S")
    handler.setFormatter(SafeFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if is_writer():
        logging.getLogger("minidisc_plugin").setLevel(logging.INFO)
