"""The section `dataset` of a compression config."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from minidisc_plugin.contracts.values import Distinct, PathText, Settings


class DatasetConfig(Settings):
    """What `datasets.load_dataset` takes, and which columns hold what."""

    path: PathText = Field(description="A folder, a Hub name, or a format such as `csv`, `json`, `parquet`.")
    name: str | None = Field(None, description="The dataset's configuration, such as `mrpc` of `glue`.")
    data_dir: PathText | None = Field(None, description="Folder of the data files.")
    data_files: PathText | list[PathText] | dict[str, PathText | list[PathText]] | None = Field(
        None, description="Files by split, relative to the working directory."
    )
    revision: str | None = Field(None, description="Version of a dataset on the Hub.")
    cache_dir: PathText | None = Field(None, description="Where datasets are cached.")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Further keys of the loader of `datasets`, such as `sep`, `quoting` and `encoding` of CSV, or "
        "`field` of JSON.",
    )
    train_split: str = Field("train", description="Split to train on; the selection split is carved from it.")
    validation_split: str | None = Field(
        None, description="Split for early stopping. Default: `validation`, where the dataset has it."
    )
    test_split: str | None = Field(
        None, description="Split for the report. Default: `test`, else the validation split."
    )
    unlabelled_split: str | None = Field(
        None,
        description="Split of further texts to train on, whose label is not read and may be missing; `train_split` and "
        "it are drawn from anew in each epoch. Default: `unlabelled`, where the dataset has it.",
    )
    text: Annotated[list[str], Distinct] = Field(
        max_length=3,
        description="Of tasks on texts, left out on images: columns of the sentence or the pair, of the words, of "
        "question and context, of the text, of the source, of context and question of multiple choice, or of texts to "
        "embed, by task; of these a split has some: two, and the label, where pairs are scored.",
    )
    choices: Annotated[list[str], Distinct] | None = Field(
        None,
        min_length=1,
        description="Of multiple choice: the column of lists of choices, or a column for each choice. Default: "
        "`choices`.",
    )
    image: str | None = Field(
        None,
        description="Of tasks on images: the column of the image, or of the path of its file. Default: `image`.",
    )
    audio: str | None = Field(
        None,
        description="Of tasks on sounds: the column of the sound, or of the path of its file. Default: `audio`.",
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Of tasks on sounds: seconds that are kept of each, from its beginning; shorter ones are padded to "
        "the longest of all. Default: 30.",
    )
    label: str = Field(
        "label",
        description="Column of the label: an integer, a class name or a real number; the right choice; a list of "
        "them, one a word, or those of a text that may have several; answers as SQuAD has them; or the target text; of "
        "embeddings the score of a pair, a number. Text generation needs none.",
    )

    domain: str | None = Field(
        None,
        description="Column of the domain of each text, of an objective that weighs domains; the splits that are "
        "trained on have it.",
    )

    @property
    def inputs(self) -> list[str]:
        """Columns that a model's inputs are made of."""
        others = [column for column in (self.image, self.audio) if column is not None]
        return others or [*self.text, *(self.choices or [])]

    @model_validator(mode="before")
    @classmethod
    def _one_column(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        alone = {key: [data[key]] for key in ("text", "choices") if isinstance(data.get(key), str)}
        return {**data, **alone}
