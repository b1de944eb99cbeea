"""Which examples make a batch: the same global batches in any number of processes, in an order that can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from minidisc_plugin.training.domain_batches import domain_batches

_TOKENS = "input_ids"
# Inputs that are of one size in all examples.
_WHOLE = ("pixel_values", "input_values", "input_features")
# Batches of a group are made of examples of similar length; between groups chance decides.
_BATCHES_OF_A_GROUP = 50


@dataclass(frozen=True)
class OptimizerStep:
    """How batches make optimizer steps.

    Attributes:
        batches: So many in a row make one, of similar length too.
        whole: The last step of an epoch is filled with batches from its beginning.
    """

    batches: int = 1
    whole: bool = False


@dataclass(frozen=True)
class Share:
    """The part of a batch that a process takes.

    Attributes:
        rank: Which process this is.
        processes: How many there are.
    """

    rank: int = 0
    processes: int = 1


class GlobalBatches(Sampler[list[int]]):
    """Batches of all processes together, of which each takes its share; an epoch's depend on seed and epoch alone.

    Args:
        lengths: Tokens of each example.
        size: Examples of a batch, in all processes together.
        seed: Of the order.
        grouped: Whether the examples of a batch are of similar length.
        tokens: Instead of `size`: how many tokens a batch may hold, padding included. Examples of all the data are
            then sorted by length, and cut; chance decides between those of one length, and on the order of batches.
        drop_last: Leave out the batch that has fewer than `size` examples.
        step: How batches make optimizer steps.
        share: Of this process.

    Attributes:
        drawn: How many examples an epoch has, drawn from all without repetition and anew in each; None is all of them.
            Not beside `tokens`, by which epochs of other examples have other numbers of batches.
        domains: Of each example; every batch then has an equal share of each, and smaller domains come again. Not
            beside `tokens`.
    """

    drawn: int | None = None
    domains: Sequence[int] | None = None

    def __init__(
        self,
        lengths: Sequence[int],
        size: int,
        seed: int,
        *,
        grouped: bool = True,
        tokens: int | None = None,
        drop_last: bool = False,
        step: OptimizerStep | None = None,
        share: Share | None = None,
    ) -> None:
        self.lengths = lengths
        self.size = size
        self.seed = seed
        self.grouped = grouped
        self.tokens = tokens
        self.drop_last = drop_last and tokens is None
        self.step = step or OptimizerStep()
        self.share = share or Share()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next; the data loader calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch, the same in every epoch and process."""
        if self.tokens is not None:
            count = sum(1 for _ in self._cut_by_tokens(sorted(range(len(self.lengths)), key=self.lengths.__getitem__)))
        else:
            examples = len(self.lengths) if self.drawn is None else min(self.drawn, len(self.lengths))
            count = examples // self.size if self.drop_last else -(-examples // self.size)
        return count + (-count % self.step.batches if self.step.whole else 0)

    def __iter__(self) -> Iterator[list[int]]:
        batches = [batch for batch in self.global_batches() if not self.drop_last or len(batch) == self.size]
        for batch in islice(cycle(batches), len(self)):
            yield self._share(batch)

    def global_batches(self) -> list[list[int]]:
        """Indices of every batch of the epoch; the one with the longest example is among the first."""
        chance = random.Random(self.seed * 1_000_003 + self.epoch)
        if self.domains is not None:
            group = self.step.batches * _BATCHES_OF_A_GROUP
            lengths = self.lengths if self.grouped else None
            return self._longest_first(domain_batches(self.domains, self.size, len(self), chance, lengths, group))
        order = list(range(len(self.lengths)))
        chance.shuffle(order)
        order = order[: self.drawn]
        if self.tokens is not None:
            order.sort(key=self.lengths.__getitem__)
            batches = list(self._cut_by_tokens(order))
            chance.shuffle(batches)
        elif self.grouped:
            group = self.size * self.step.batches * _BATCHES_OF_A_GROUP
            groups = [order[start : start + group] for start in range(0, len(order), group)]
            batches = list(chain.from_iterable(self._similar(part, chance) for part in groups))
        else:
            return list(_cut(order, self.size))
        return self._longest_first(batches)

    def _longest_first(self, batches: list[list[int]]) -> list[list[int]]:
        """What does not fit into memory shows at once."""
        longest = max(range(len(batches)), key=lambda index: max(self.lengths[example] for example in batches[index]))
        first = longest - longest % self.step.batches
        return batches[first : first + self.step.batches] + batches[:first] + batches[first + self.step.batches :]

    def _similar(self, examples: list[int], chance: random.Random) -> Iterator[list[int]]:
        """Batches of one group: examples sorted by length, then steps shuffled; an incomplete step stays last."""
        examples.sort(key=self.lengths.__getitem__, reverse=True)
        steps = list(_cut(list(_cut(examples, self.size)), self.step.batches))
        whole = [step for step in steps if len(step) == self.step.batches and len(step[-1]) == self.size]
        rest = [step for step in steps if len(step) != self.step.batches or len(step[-1]) != self.size]
        chance.shuffle(whole)
        return chain.from_iterable(whole + rest)

    def _cut_by_tokens(self, examples: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for example in examples:  # ascending, so each example sets the width of its batch
            if batch and (len(batch) + 1) * self.lengths[example] > (self.tokens or 0):
                yield batch
                batch = []
            batch.append(example)
        if batch:
            yield batch

    def _share(self, batch: list[int]) -> list[int]:
        """Examples of this process; where there are fewer than processes, some come twice."""
        whole = batch + [batch[place % len(batch)] for place in range(self.share.processes - len(batch))]
        return whole[self.share.rank :: self.share.processes]


def _cut(items: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def train_loader(
    trainer: Any,
    tokens: int | None = None,
    whole_steps: bool = False,
    drawn: int | None = None,
    domains: Sequence[int] | None = None,
) -> Any:
    """The loader of a `transformers.Trainer`'s training set, in global batches.

    Args:
        trainer: Of a dataset that has_lengths.
        tokens: See GlobalBatches.
        whole_steps: See OptimizerStep.
        drawn: See GlobalBatches.
        domains: See GlobalBatches.
    """
    from accelerate.data_loader import DataLoaderShard
    from transformers.trainer_utils import seed_worker

    args, accelerator = trainer.args, trainer.accelerator
    dataset = trainer._remove_unused_columns(trainer.train_dataset, description="training")
    share = Share(accelerator.process_index, accelerator.num_processes)
    batches = batches_of(example_lengths(dataset), args, trainer._train_batch_size, tokens, share, whole_steps, drawn)
    batches.domains = domains
    # Of newer releases.
    own = {name: getattr(args, f"dataloader_{name}", None) for name in ("multiprocessing_context", "in_order")}
    loader = DataLoaderShard(
        dataset,
        device=accelerator.device,
        batch_sampler=batches,
        collate_fn=trainer.data_collator,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        worker_init_fn=partial(seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index),
        # Without one of its own it draws from the generator that dropout draws from, and not as often after a resume.
        generator=torch.Generator().manual_seed(batches.seed),
        **{name: value for name, value in own.items() if value is not None},
    )
    accelerator._dataloaders.append(loader)
    return loader


def batches_of(
    lengths: Sequence[int],
    args: Any,
    size: int,
    tokens: int | None,
    share: Share,
    whole_steps: bool = False,
    drawn: int | None = None,
) -> GlobalBatches:
    """The batches of a training stage.

    Args:
        lengths: Tokens of each example.
        args: Of the stage.
        size: Examples of a batch of one process.
        tokens: See GlobalBatches; of a batch of one process.
        share: Of this process.
        whole_steps: See OptimizerStep.
        drawn: See GlobalBatches.
    """
    found = GlobalBatches(
        lengths,
        size * share.processes,
        args.seed if args.data_seed is None else args.data_seed,
        grouped=is_grouped(args),
        tokens=None if tokens is None else tokens * share.processes,
        drop_last=args.dataloader_drop_last,
        step=OptimizerStep(args.gradient_accumulation_steps, whole_steps),
        share=share,
    )
    found.drawn = drawn
    return found


def has_lengths(dataset: Any) -> bool:
    """Whether it is a `datasets.Dataset` of tokenised examples, or of examples that are all of one size."""
    return isinstance(dataset, Dataset) and bool({_TOKENS, *_WHOLE}.intersection(dataset.column_names))


def example_lengths(dataset: Any) -> list[int]:
    """Tokens of each example, those of all its choices where it has several; 1 of each where all are of one size."""
    if _TOKENS not in dataset.column_names:
        return [1] * len(dataset)
    return [_several(ids) if len(ids) and isinstance(ids[0], list) else len(ids) for ids in dataset[_TOKENS]]


def _several(texts: list[list[int]]) -> int:
    """Tokens of texts that are padded to the longest of them."""
    return len(texts) * max(map(len, texts))


def length_in(batch: Mapping[str, Any]) -> int:
    """Tokens of each example of a batch, padding included; 1 where all examples are of one size."""
    return int(batch[_TOKENS].shape[1:].numel()) if _TOKENS in batch else 1


def is_grouped(args: Any) -> bool:
    """Whether training arguments ask for batches of similar length, in either release's words."""
    return bool(getattr(args, "group_by_length", False)) or (
        getattr(args, "train_sampling_strategy", None) == "group_by_length"
    )


def sorted_by_length(dataset: Any) -> Any:
    """The dataset from the longest to the shortest example, so that batches in its order pad little, if it has any."""
    if not has_lengths(dataset):
        return dataset
    lengths = torch.tensor(example_lengths(dataset))
    return dataset.select(torch.argsort(lengths, descending=True, stable=True).tolist())
