"""A stage's Trainer with optimizer, schedule, reporters and loaders, made before a run and thrown away."""

from __future__ import annotations

import copy
import math
import tempfile
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

    from minidisc_plugin.schedulers.stage import Stage, Stages

_EXAMPLES = 8


def rehearse(stages: Stages, stage: Stage) -> None:
    """Make all that a stage needs before its first step; nothing is trained, and nothing written that stays.

    Args:
        stages: Of the run.
        stage: Its network and teacher are used up; a `twin` of each will do.

    Raises:
        ConfigError: an epoch would have no batch.
        Exception: of whatever kind the library has that cannot make its part.
    """
    examples = stages.trainer_arguments["train_dataset"]
    few = examples.select(range(min(_EXAMPLES, len(examples))))
    short = copy.copy(stages)
    short.trainer_arguments = {**stages.trainer_arguments, "train_dataset": few}
    short.args = copy.copy(stages.args)
    with tempfile.TemporaryDirectory() as folder:
        short.args.output_dir = folder  # a Trainer makes it at once
        trainer = short.trainer(stage)
        an_epoch = len(examples) if stages.drawn is None else stages.drawn
        _check_batches(trainer, an_epoch)
        trainer.get_train_dataloader()
        trainer.get_eval_dataloader(few if trainer.eval_dataset is None else trainer.eval_dataset)
        steps = _steps(trainer, an_epoch)
        trainer.create_optimizer_and_scheduler(steps)
        _check_schedule(trainer, steps)
        _check_optimizer(trainer)
        if trainer.args.device.type != "cpu":
            trainer.accelerator.free_memory()  # a teacher of its own went there; on the CPU weights are shared


def twin(model: PreTrainedModel) -> PreTrainedModel:
    """A model of its own over the same weights; costs no memory until they are moved."""
    import torch

    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): _view(tensor) for tensor in tensors if isinstance(tensor, torch.Tensor)})


def _view(tensor: Any) -> Any:
    import torch

    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(tensor.detach(), tensor.requires_grad)
    return tensor.detach()


def _check_batches(trainer: Any, examples: int) -> None:
    """Refuse to leave out incomplete batches where there is no other.

    Raises:
        ConfigError: there is none.
    """
    args = trainer.args
    together = args.train_batch_size * args.world_size
    if not args.dataloader_drop_last or trainer.tokens_per_batch is not None or together <= examples:
        return
    share = f" in each of {args.world_size} processes" if args.world_size > 1 else ""
    raise ConfigError(
        f"training.dataloader_drop_last: no whole batch is left: {examples} examples are trained on, and "
        f"training.per_device_train_batch_size is {args.per_device_train_batch_size}{share}; lower that, or remove "
        "training.dataloader_drop_last"
    )


def _steps(trainer: Trainer, examples: int) -> int:
    """Optimizer steps of a stage."""
    args = trainer.args
    together = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
    steps: int = math.ceil(math.ceil(examples / together) * args.num_train_epochs)
    return int(args.max_steps) if args.max_steps > 0 else steps


def _check_schedule(trainer: Trainer, steps: int) -> None:
    """Ask for the learning rate of the first step, of the last, and of some between.

    Raises:
        ValueError: one is not a finite number.
    """
    for rate in getattr(trainer.lr_scheduler, "lr_lambdas", ()):
        for step in (0, steps // 4, steps // 2, steps):
            if not math.isfinite(rate(step)):
                raise ValueError(f"lr_scheduler_type and lr_scheduler_kwargs give no learning rate at step {step}")


def _check_optimizer(trainer: Trainer) -> None:
    """Refuse arguments that the optimizer passes over.

    Raises:
        ValueError: names them.
    """
    args = trainer.args
    if args.optim_args:
        bare = copy.copy(args)
        bare.optim_args = None
        if str(_options(args, trainer.model)) == str(_options(bare, trainer.model)):
            raise ValueError(f"optim {args.optim.value} knows none of these optim_args")
    if args.optim_target_modules and not any(word in args.optim.value for word in ("galore", "apollo")):
        raise ValueError(f"optim {args.optim.value} has no optim_target_modules")


def _options(args: Any, model: Any) -> dict[str, Any]:
    from transformers import Trainer

    return dict(Trainer.get_optimizer_cls_and_kwargs(args, model)[1])
