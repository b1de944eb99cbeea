"""The compression config: every key, its type, range, default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.generation import GenerationConfig
from minidisc_plugin.contracts.inputs import CHOICE, NOT_TEXTS, SECONDS, SOUNDS, SPEECH
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.values import (
    Distinct,
    FromList,
    LocalFolder,
    Options,
    OutputPath,
    PathText,
    Positive,
    Settings,
)

Protocol = Literal["fast", "published"]


class MetricConfig(Settings):
    """The metric that selects and reports; a plain string stands for its name."""

    name: PathText = Field(
        description="A shipped metric; with `trust_remote_code` also a folder, a file or a name on the Hub, as "
        "`evaluate.load` takes it."
    )
    range: Annotated[tuple[float, float], FromList] | None = Field(
        None, description="Smallest and largest value, for a metric that is not known by name."
    )
    options: Options = Field(default_factory=dict, description="Arguments of the metric, such as `average: macro`.")


class EngineConfig(Settings):
    """How training stages spend their time; what is left out is as `protocol` says."""

    padding: Literal["longest", "max_length"] | None = Field(
        None, description="Pad a batch to its longest example, or every batch to `max_length`."
    )
    tokens_per_batch: int | None = Field(
        None,
        ge=1,
        description="Batches of examples of one length, as many as fit into so many tokens, padding included; in "
        "place of `training.per_device_train_batch_size` examples.",
    )
    dropout: bool | None = Field(
        None, description="Whether networks that follow a teacher drop out, by the rates of the model's config."
    )
    teacher_cache: Literal["auto"] | bool | None = Field(
        None,
        description="Compute a frozen teacher's outputs once per training example, and read them from disk from then "
        "on. `auto`: where a stage takes more than one epoch (beside further texts: more examples than there are) and "
        "they fit into `teacher_cache_gib`.",
    )
    teacher_cache_gib: Positive = Field(
        8.0, description="Largest size on disk of one teacher's cached outputs, and of all in `teacher_cache_dir`."
    )
    teacher_cache_dir: LocalFolder | None = Field(
        None,
        description="A folder in which runs share cached outputs; the oldest go first. Default: in the run's "
        "checkpoints, gone when it ends.",
    )
    half_precision: Literal["auto"] | bool | None = Field(
        None,
        description="Train and evaluate in bf16 autocast. `auto`: on a GPU, or a processor with instructions for bf16, "
        "where a few steps show it to be faster (on processors by a quarter, in runs of 500 steps or more); on several "
        "GPUs where they compute in bf16. `training.bf16` and `training.fp16` are left alone where they are set.",
    )
    compile: Literal["auto"] | bool | None = Field(
        None,
        description="Record passes over batches of the full size as CUDA graphs, one for each scale and each of a few "
        "lengths, and replay them: one launch in place of thousands. `auto`: on one CUDA device, where a stage is long "
        "enough; `true` says in the log why not, where it cannot be done.",
    )
    weights: Literal["float32", "bfloat16"] | None = Field(
        None,
        description="Type of the weights while they are trained. Default: `float32`, but `bfloat16` for a teacher of a "
        "billion weights or more that is saved in half precision. Student and assistants are saved in the teacher's "
        "own type where that is one of half precision, and measured as they are saved.",
    )


class ExportConfig(Settings):
    """The step `export`: the student for other runtimes."""

    formats: Annotated[tuple[Literal["openvino", "onnx"], ...], FromList, Distinct] = Field(
        ("openvino",), min_length=1, description="What to write: `openvino`, `onnx`."
    )


Scheme = Literal[
    "openvino_int8",
    "openvino_int4",
    "openvino_static",
    "onnx_dynamic",
    "onnx_int8",
    "torchao_int8",
    "inc_dynamic",
    "inc_static",
]


class QuantizationConfig(Settings):
    """The step `quantization`: the student in 8 bits, or in 4."""

    schemes: Annotated[tuple[Scheme, ...], FromList, Distinct] = Field(
        ("openvino_int8",),
        min_length=1,
        description="How. Weights only: `openvino_int8`, `openvino_int4`, `torchao_int8`. Activations, too, by ranges "
        "of each batch: `onnx_dynamic`, `inc_dynamic`; by ranges of examples of train: `openvino_static`, `onnx_int8`, "
        "`inc_static`. `minidisc doctor` says which the installed versions can do.",
    )
    calibration_examples: int = Field(
        256, ge=1, description="Examples of train that ranges of activations are taken from, where a scheme needs them."
    )
    max_loss: float = Field(
        0.02,
        ge=0,
        le=1,
        description="How much of its range the metric may lose, compared with the student in torch, before a quantized "
        "model is reported as one that lost too much; it is kept.",
    )


class CompressionConfig(Settings):
    """A whole run: teacher, data, compression, scheduler, training, output."""

    model: PathText = Field(description="The fine-tuned teacher: a folder or a Hub name.")
    tokenizer: PathText | None = Field(
        None,
        description="Its tokenizer, image processor, feature extractor or processor, where it is not beside the model.",
    )
    task: Literal[
        "text-classification",
        "token-classification",
        "question-answering",
        "multiple-choice",
        "text-generation",
        "text2text-generation",
        "feature-extraction",
        "image-classification",
        "audio-classification",
        "automatic-speech-recognition",
    ] = Field(
        "text-classification",
        description="What the teacher was fine-tuned for; classification is a regression where the model has a single "
        "label.",
    )
    dataset: DatasetConfig = Field(description="The data.")
    metric: MetricConfig = Field(description="The metric that selects and reports.")
    pruning: PruningConfig = Field(description="How small the student is.")
    distillation: DistillationConfig = Field(
        default_factory=DistillationConfig, description="How a student follows its teacher."
    )
    scheduler: str = Field(
        "direct", description="How the teacher assistant is chosen; `minidisc plugins` lists the installed ones."
    )
    trainer: Literal["inc", "transformers"] | None = Field(
        None,
        description="What distils the student: `inc` (Optimum Intel's INCTrainer) or `transformers`. Default: `inc` "
        "where it is installed and has the objective's loss.",
    )
    scheduler_config: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the scheduler; see its own table."
    )
    protocol: Protocol = Field(
        "fast",
        description="What keys default to that decide about time: `fast`, or `published` as in the paper (every "
        "candidate in every step, padding to `max_length`, no cache, evaluations every 10 steps).",
    )
    engine: EngineConfig = Field(default_factory=EngineConfig, description="How stages spend their time.")
    training: dict[str, Any] = Field(
        default_factory=dict, description="Keys of `transformers.TrainingArguments`, for every training stage."
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        description="Stop a stage after this many evaluations (one an epoch, or by `training.eval_strategy`) without a "
        "better validation metric, and keep the best.",
    )
    selection_size: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of train set apart, by seed, for importance and for the choice of the assistant.",
    )
    max_length: int = Field(128, ge=2, description="Tokens kept of each text.")
    steps: Annotated[list[str], Distinct] = Field(
        default_factory=list,
        description="Further pipeline steps, between the student's distillation and the report: `export`, "
        "`quantization`, or a plug-in's.",
    )
    export: ExportConfig = Field(default_factory=ExportConfig, description="Settings of the step `export`.")
    quantization: QuantizationConfig = Field(
        default_factory=QuantizationConfig, description="Settings of the step `quantization`."
    )
    generation: GenerationConfig = Field(
        default_factory=GenerationConfig,
        description="Texts that models write for the report, of `text2text-generation` and "
        "`automatic-speech-recognition`.",
    )
    trust_remote_code: bool = Field(
        False,
        description="Run code that comes with the model, with the tokenizer, or with a metric that is not shipped; "
        "read pickles (`dataset.path: pandas`).",
    )
    output_dir: OutputPath = Field(description="Where everything is written.")
    versions: dict[str, str] | None = Field(
        None, description="Versions that wrote a resolved config; recorded, not read."
    )

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = dict(data)
            if isinstance(data.get("metric"), str):
                data["metric"] = {"name": data["metric"]}
            if data.get("scheduler", "") is None:
                data.pop("scheduler")
            if data.get("task") in NOT_TEXTS and isinstance(data.get("dataset"), dict):
                data["dataset"] = {"text": [], **data["dataset"]}
            if data.get("task") == SPEECH and isinstance(data.get("generation", {}), dict):
                data["generation"] = {"metrics": ["wer"], **data.get("generation", {})}
        return data

    @model_validator(mode="after")
    def _inputs(self) -> CompressionConfig:
        given, inputs = self.dataset, NOT_TEXTS.get(self.task)
        reads = "texts" if inputs is None else inputs.said
        if inputs is not None and given.text:
            raise ValueError(f"dataset.text: {given.text} is for texts, and task {self.task} reads {reads}; remove it")
        for other in NOT_TEXTS.values():
            if other != inputs and (column := getattr(given, other.key)) is not None:
                raise ValueError(
                    f"dataset.{other.key}: {column!r} is for {other.said}, and task {self.task} reads {reads}; "
                    "remove it"
                )
        if self.task != CHOICE and given.choices is not None:
            raise ValueError(
                f"dataset.choices: {given.choices} is for task {CHOICE}, and the task is {self.task}; remove it"
            )
        if inputs != SOUNDS and given.max_seconds is not None:
            raise ValueError(
                f"dataset.max_seconds: {given.max_seconds:g} is for {SOUNDS.said}, and task {self.task} reads {reads}; "
                "remove it"
            )
        if inputs is None:
            if not given.text:
                raise ValueError("dataset.text: missing; add it")
            if both := sorted({*given.text} & {*(given.choices or ())}):
                raise ValueError(f"dataset.choices: {both[0]!r} is a column of dataset.text, too; name it once")
            if self.task == CHOICE and given.choices is None:
                self.dataset = given.model_copy(update={"choices": ["choices"]})
            return self
        usual = {inputs.key: inputs.key, **({"max_seconds": SECONDS} if inputs == SOUNDS else {})}
        self.dataset = given.model_copy(
            update={name: value for name, value in usual.items() if getattr(given, name) is None}
        )
        return self

    @property
    def seed(self) -> int:
        """Seed of the selection split, of initialisation and of the order of examples."""
        return int(self.training.get("seed", 42))
