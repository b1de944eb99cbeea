"""The step `quantization`: the student in 8 bits, by OpenVINO's NNCF or by Neural Compressor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.integrations.requirements import Capability
from minidisc_plugin.run.steps.export import exported, in_single, make_once, refuse_task

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.config import CompressionConfig

FOLDERS = {
    "openvino_int8": "student-openvino-int8",
    "inc_dynamic": "student-inc-dynamic",
    "inc_static": "student-inc-static",
}
_CAPABILITIES: Mapping[str, Capability] = {"openvino_int8": "openvino", "inc_dynamic": "inc", "inc_static": "inc"}


class Quantization(Step):
    """Quantize the student by each of `quantization.schemes`, calibrated on examples of train."""

    name = "quantization"
    writes: ClassVar[Mapping[str, str]] = {
        f"{FOLDERS['openvino_int8']}/": "the student in 8 bits as OpenVINO IR (step quantization)",
        f"{FOLDERS['inc_dynamic']}/": "the student in 8 bits by Neural Compressor, dynamic (step quantization)",
        f"{FOLDERS['inc_static']}/": "the student in 8 bits by Neural Compressor, calibrated (step quantization)",
    }

    def check(self, config: CompressionConfig) -> None:
        """See Step."""
        refuse_task(self.name, config)
        for scheme in config.quantization.schemes:
            require(_CAPABILITIES[scheme])

    def run(self, run: Run) -> None:
        """See Step."""
        for scheme in run.prepared.config.quantization.schemes:
            if scheme == "openvino_int8":
                self._openvino(run, scheme)
            else:
                self._inc(run, scheme)

    def _openvino(self, run: Run, scheme: str) -> None:
        from minidisc_plugin.integrations import openvino

        kind = run.prepared.task.runtime_classes["openvino"]
        source = exported(run, "student", "openvino", _exported_already(run))
        exported(run, "teacher", "openvino")
        folder = run.directory.root / FOLDERS[scheme]
        make_once(run, scheme, folder, lambda staged: openvino.quantize(source, staged, calibration(run), kind))
        run.artefacts.append(
            Artefact("student", "OpenVINO int8", "openvino", folder, partial(openvino.load, kind=kind))
        )

    def _inc(self, run: Run, scheme: str) -> None:
        from minidisc_plugin.integrations.inc import quantization

        static = scheme == "inc_static"
        folder = run.directory.root / FOLDERS[scheme]

        def make(staged: Path) -> None:
            examples = calibration(run) if static else None
            quantization.quantize(
                in_single(run, "student"), staged, examples, run.prepared.tokenizer, run.prepared.task.name
            )

        make_once(run, scheme, folder, make)
        runtime = f"torch int8, {'static' if static else 'dynamic'}"
        run.artefacts.append(Artefact("student", runtime, "torch", folder, quantization.load))


def calibration(run: Run) -> Dataset:
    """Examples of train, by seed, with the model's inputs only."""
    config, train = run.prepared.config, run.prepared.splits.train
    names: list[Any] = [name for name in train.column_names if name in run.prepared.tokenizer.model_input_names]
    count = min(config.quantization.calibration_examples, len(train))
    return train.shuffle(seed=config.seed).select(range(count)).select_columns(names)


def _exported_already(run: Run) -> str | None:
    """Name of the folder of the step `export`, when it ran before; else none."""
    return next(
        (found.folder.name for found in run.artefacts if (found.role, found.runtime) == ("student", "OpenVINO fp32")),
        None,
    )
