"""The step `export`: the student as OpenVINO IR and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from minidisc_plugin.contracts.run import Prepared, Run, Step
from minidisc_plugin.foundation.elsewhere import Elsewhere
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.run.steps.exporting import exported, refuse_inputs, refuse_task

if TYPE_CHECKING:
    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.integrations.export.route import Format

FOLDERS: dict[Format, str] = {"openvino": "student-openvino", "onnx": "student-onnx"}


def kept_folder(config: CompressionConfig, format_name: Format) -> str | None:
    """Name of the folder in which the step `export`, whenever it comes, keeps the student; None where it does not."""
    keeps = Export.name in config.steps and format_name in config.export.formats
    return FOLDERS[format_name] if keeps else None


class Export(Step):
    """Write the student for each runtime in `export.formats`, and measure it there next to the teacher."""

    name = "export"
    writes: ClassVar[Mapping[str, str]] = {
        f"{FOLDERS['openvino']}/": "the student as OpenVINO IR (step export)",
        f"{FOLDERS['onnx']}/": "the student as ONNX (step export)",
    }

    def check(self, config: CompressionConfig) -> None:
        """See Step."""
        refuse_task(self.name, config)
        for format_name in config.export.formats:
            require(format_name)

    def check_run(self, prepared: Prepared) -> None:
        """See Step."""
        refuse_inputs(self.name, prepared, prepared.config.export.formats)

    def will_write(self, config: CompressionConfig) -> Mapping[str, str]:
        """See Step."""
        return {f"{FOLDERS[name]}/": self.writes[f"{FOLDERS[name]}/"] for name in config.export.formats}

    def run(self, run: Run) -> None:
        """See Step."""
        with Elsewhere() as elsewhere:
            for format_name in run.prepared.config.export.formats:
                exported(run, elsewhere, "student", format_name, FOLDERS[format_name])
                exported(run, elsewhere, "teacher", format_name)
