"""The pass `MiniDisc` of an Olive workflow: a teacher in, its student out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from olive.model import HfModelHandler, OliveModelHandler
from olive.passes import Pass
from olive.passes.pytorch.common import inherit_hf_from_hf

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import RECORD_FILE
from minidisc_plugin.contracts.records import RESULTS_FILE, write_json
from minidisc_plugin.foundation.errors import ConfigError, MinidiscError, RunDirectoryError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.foundation.redaction import MASK, names_secret
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.nested.checkpoint import CODE_FILE
from minidisc_plugin.olive.parameters import checked, config_of, schema
from minidisc_plugin.run.pipeline import Result, compress

# What `minidisc report` shows of a run, beside its results; the model card speaks of folders that are not here.
KEPT = ("schedule.json", "tradeoff.png", "frontier.png")
# What only a model of torch needs; the rest (tokenizer, config, records) goes with the student from pass to pass.
_OF_TORCH = ("*.safetensors", "*.safetensors.index.json", CODE_FILE)
# Of `load_kwargs`: whatever they say, the model is the same one. A run reads its teacher in its own way.
_NEUTRAL = (
    "attn_implementation",
    "device_map",
    "dtype",
    "local_files_only",
    "low_cpu_mem_usage",
    "max_memory",
    "torch_dtype",
    "trust_remote_code",
)


class PassError(MinidiscError, ValueError):
    """Our error as one of Python's own: Olive logs others, and goes on as if the workflow had done its work."""


class MiniDisc(Pass):  # type: ignore[misc]
    """Choose the teacher assistant, distil the student through it, and hand the student to the next pass.

    The input is a `HfModel`, the fine-tuned teacher; the output is a `HfModel`, too, with the teacher's tokenizer. A
    student whose layers differ in width brings its own modelling file, so its `load_kwargs` trust remote code. Beside
    it lie the run's records and plot, for `minidisc report`.

    A pass that was cut off goes on from its last checkpoint when the workflow is run again.
    """

    @classmethod
    def _default_config(cls, accelerator_spec: Any) -> dict[str, Any]:
        return schema()

    @classmethod
    def get_config_params(
        cls, accelerator_spec: Any, config: Any = None, disable_search: bool | None = False
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """As Olive's, which passes over parameters that it does not know.

        Raises:
            PassError: a parameter cannot be used; one line.
        """
        with _in_olives_words():
            plain = checked(config or {})
        params: tuple[Any, dict[str, Any], dict[str, Any]] = super().get_config_params(
            accelerator_spec, plain, disable_search
        )
        return params

    def _run_for_config(self, model: OliveModelHandler, config: Any, output_model_path: str) -> HfModelHandler:
        place = Path(output_model_path)
        scratch = place.with_name(f"{place.name}-minidisc")
        with _in_olives_words(), storage_errors(place):
            teacher = _teacher(model)
            ours = config_of(
                {"trust_remote_code": _trusts(teacher), **_given(config)},
                model=str(teacher.model_name_or_path),
                task=teacher.task,
                output_dir=str(scratch),
            )
            _keep(_compressed(ours, scratch), place)
            shutil.rmtree(scratch)
        return _student(teacher, place)


@contextmanager
def _in_olives_words() -> Iterator[None]:
    try:
        yield
    except MinidiscError as error:
        raise PassError(str(error)) from error


def _teacher(model: OliveModelHandler) -> HfModelHandler:
    """The input as a teacher that can be trained from.

    Raises:
        ConfigError: it is none; says what to do.
    """
    if not isinstance(model, HfModelHandler):
        raise ConfigError(
            f"input_model: {type(model).__name__} cannot be compressed; give a HfModel, and place this pass before "
            "those that export or quantize"
        )
    if model.adapter_path:
        raise ConfigError(
            "input_model: adapter_path: an adapter has no heads and neurons of its own; place Olive's pass "
            "MergeAdapterWeights before this one"
        )
    if model.test_model_config is not None:
        raise ConfigError("input_model: test_model_config: a model of random weights teaches nothing; remove it")
    if model.load_kwargs and model.load_kwargs.quantization_config:
        raise ConfigError("input_model: load_kwargs.quantization_config: quantize after this pass; remove it")
    _refuse_another_model(model)
    return model


def _refuse_another_model(model: HfModelHandler) -> None:
    """Refuse what a run does not load its teacher with, and what may make it another model than the workflow's."""
    given = model.load_kwargs.model_dump(exclude_none=True) if model.load_kwargs else {}
    for key, value in {**given.pop("extra_args", {}), **given}.items():
        if key not in _NEUTRAL:
            said = MASK if names_secret(key) else shown(value)
            raise ConfigError(
                f"input_model: load_kwargs.{key}: {said} cannot be used: this pass loads its teacher without it; "
                "remove it, or save the model that is meant and give its folder as model_path"
            )


def _trusts(teacher: HfModelHandler) -> bool:
    return bool(teacher.load_kwargs and teacher.load_kwargs.trust_remote_code)


def _given(config: Any) -> dict[str, Any]:
    """Parameters of a pass; consent that the workflow gives for its model is not taken back by a default."""
    values: dict[str, Any] = config.model_dump()
    return {key: value for key, value in values.items() if not (key == "trust_remote_code" and not value)}


def _compressed(config: CompressionConfig, scratch: Path) -> Result:
    """Run, or go on with the run that was cut off; anew where that one had other data."""
    is_begun = (scratch / RECORD_FILE).exists()
    try:
        return compress(config, resume=is_begun)
    except RunDirectoryError:
        if not is_begun:
            raise
        return compress(config, overwrite=True)


def _keep(result: Result, place: Path) -> None:
    """Copy what a workflow goes on with: the student, and the records."""
    shutil.copytree(result.output_dir / "student", place, dirs_exist_ok=True)
    for name in KEPT:
        if (result.output_dir / name).exists():
            shutil.copy(result.output_dir / name, place / name)
    results = result.results
    rows = [row.model_copy(update={"path": None}) for row in results.rows]
    write_json(place / RESULTS_FILE, results.model_copy(update={"rows": rows}))


def _student(teacher: HfModelHandler, place: Path) -> HfModelHandler:
    """The handler of a student: the teacher's task, inputs and loading, with consent to the student's own code."""
    load = teacher.load_kwargs.model_dump(exclude_none=True) if teacher.load_kwargs else {}
    if (place / CODE_FILE).exists():
        load["trust_remote_code"] = True
    student = inherit_hf_from_hf(teacher, str(place), load_kwargs=load)
    student.model_attributes["additional_files"] = sorted(
        str(file) for file in place.iterdir() if not any(file.match(pattern) for pattern in _OF_TORCH)
    )
    return student
