"""What `MiniDiscLoss` sees of a teacher that several students follow, and that nothing of it stays there."""

from __future__ import annotations

import gc

import torch

from minidisc_plugin.integrations.inc.criterion import MiniDiscLoss
from tests.builders.tiny import make_batch, make_bert


def test_a_teacher_is_followed_again_and_again() -> None:
    """By several losses at once, and when one of them is gone; nothing of them stays."""
    teacher, batch = make_bert(seed=0).eval(), make_batch()
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    before = len(teacher.base_model._forward_hooks)
    losses = [MiniDiscLoss(student_model=make_bert(seed=seed), teacher_model=teacher) for seed in (1, 2)]
    for _ in range(2):
        with torch.no_grad():
            assert teacher(**inputs).hidden_states is None
            assert len(teacher(**inputs, output_hidden_states=True).hidden_states) == 3
        assert all(len(loss._teacher.states) == 3 for loss in losses)
    del losses[0]
    gc.collect()
    with torch.no_grad():
        assert teacher(**inputs).hidden_states is None
    assert len(losses[0]._teacher.states) == 3
    del losses[0]
    gc.collect()
    assert len(teacher.base_model._forward_hooks) == before
