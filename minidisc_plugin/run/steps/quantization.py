"""The step `quantization`: the student in 8 bits, or in 4, by each of the schemes that a config names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.run import Prepared, Run, Step
from minidisc_plugin.foundation.decoders import DECODER_INPUTS
from minidisc_plugin.foundation.elsewhere import Elsewhere
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.export.route import route_for
from minidisc_plugin.integrations.hosts import available, require
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.data.collating import padding_of
from minidisc_plugin.run.measuring.batch import sample_batch
from minidisc_plugin.run.steps.export import kept_folder
from minidisc_plugin.run.steps.exporting import (
    check_elsewhere,
    exported,
    in_single,
    make_once,
    refuse_inputs,
    refuse_task,
)

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.integrations.export.route import Format


class Quantization(Step):
    """Quantize the student by each of `quantization.schemes`, where one needs it calibrated on examples of train."""

    name = "quantization"
    writes: ClassVar[Mapping[str, str]] = {f"{way.folder}/": f"{way.what} (step quantization)" for way in WAYS.values()}

    def check(self, config: CompressionConfig) -> None:
        """See Step."""
        refuse_task(self.name, config)
        able = [name for name, way in WAYS.items() if available(way.capability, way.route)]
        instead = f"take one of quantization.schemes that work here ({', '.join(able)}), or, " if able else ""
        for scheme in config.quantization.schemes:
            require(WAYS[scheme].capability, WAYS[scheme].route, instead)

    def check_run(self, prepared: Prepared) -> None:
        """See Step."""
        ways = [WAYS[scheme] for scheme in prepared.config.quantization.schemes]
        refuse_inputs(self.name, prepared, dict.fromkeys(way.of for way in ways if way.of))
        for scheme in prepared.config.quantization.schemes:
            if wrong := _unable(scheme, prepared):
                raise ConfigError(f"quantization.schemes: {scheme!r} cannot be done: {wrong}; take another")

    def will_write(self, config: CompressionConfig) -> Mapping[str, str]:
        """See Step."""
        folders = [f"{WAYS[scheme].folder}/" for scheme in config.quantization.schemes]
        return {folder: self.writes[folder] for folder in folders}

    def run(self, run: Run) -> None:
        """See Step."""
        with Elsewhere() as elsewhere:
            for scheme in run.prepared.config.quantization.schemes:
                self._scheme(run, elsewhere, scheme)

    def _scheme(self, run: Run, elsewhere: Elsewhere, scheme: str) -> None:
        way = WAYS[scheme]
        made = _of_exported(run, elsewhere, scheme, way.of) if way.of else _of_torch(run, scheme)
        folder = run.directory.root / way.folder

        def make(staged: Path) -> None:
            made.make(staged)
            if made.opened:
                check_elsewhere(run, elsewhere, staged, way.runtime, made.opened, exact=False)

        make_once(run, scheme, folder, make)
        limit = run.prepared.config.quantization.max_loss
        run.artefacts.append(Artefact("student", way.runtime, way.of or "torch", folder, made.load, max_loss=limit))


def _unable(scheme: str, prepared: Prepared) -> str:
    """Why the run's models are not written by a scheme that the hosts have; empty where they are."""
    if scheme == "torchao_int8":
        from minidisc_plugin.integrations import torchao

        return torchao.unable(prepared.teacher)
    of = WAYS[scheme].of
    return "" if of is None else route_for(of, prepared.task).unable(scheme)


@dataclass(frozen=True)
class _Made:
    """What a host does for a scheme: `make` writes to a path, `load` reads it, `opened` reads it elsewhere."""

    make: Callable[[Path], None]
    load: Callable[[Path], Any]
    opened: str = ""


def _of_exported(run: Run, elsewhere: Elsewhere, scheme: str, format_name: Format) -> _Made:
    """Of a model that was exported, which is done first where it was not; the teacher's, to compare."""
    route = route_for(format_name, run.prepared.task)
    source = exported(run, elsewhere, "student", format_name, kept_folder(run.prepared.config, format_name))
    exported(run, elsewhere, "teacher", format_name)

    def make(staged: Path) -> None:
        route.quantize(scheme, source, staged, calibration(run), sample_batch(run.prepared))

    return _Made(make, route.load, route.opened)


def _of_torch(run: Run, scheme: str) -> _Made:
    """Of the student itself; Neural Compressor 3.7 writes what only `load` of this package reads."""
    if scheme == "torchao_int8":
        from minidisc_plugin.integrations import torchao

        opened = torchao.OPENED.format(auto_class=run.prepared.task.auto_class)
        return _Made(lambda staged: torchao.quantize(run.directory.student, staged), torchao.load, opened)
    from minidisc_plugin.integrations.inc import quantization

    def make(staged: Path) -> None:
        examples = calibration(run) if scheme == "inc_static" else None
        quantization.quantize(
            in_single(run, "student"), staged, examples, padding_of(run.prepared), run.prepared.task.name
        )

    return _Made(make, quantization.load)


def calibration(run: Run) -> Dataset:
    """Examples of train, by seed, with the model's inputs only, as numbers."""
    config, train, processor = run.prepared.config, run.prepared.splits.train, run.prepared.processor
    count = min(config.quantization.calibration_examples, len(train))
    found = run.prepared.task.numbers(train.shuffle(seed=config.seed).select(range(count)), processor)
    taken = {*processor.model_input_names, DECODER_INPUTS}
    return found.select_columns([name for name in found.column_names if name in taken])
