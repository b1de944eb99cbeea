"""A model with code of its own."""

from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from .configuration_tiny import TinyConfig
from .parts_tiny import Block


class TinyModel(PreTrainedModel):
    """Embeddings and blocks."""

    config_class = TinyConfig
    base_model_prefix = "body"

    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.width)
        self.places = nn.Embedding(64, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.post_init()

    def get_input_embeddings(self):
        return self.words

    def forward(self, input_ids=None, attention_mask=None, output_hidden_states=None, **kwargs):
        hidden = self.words(input_ids) + self.places.weight[: input_ids.shape[1]]
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        states = [hidden]
        for block in self.blocks:
            states.append(block(states[-1], mask))
        return BaseModelOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)


class TinyForSequenceClassification(PreTrainedModel):
    """A classifier by the first token."""

    config_class = TinyConfig
    base_model_prefix = "body"

    def __init__(self, config):
        super().__init__(config)
        self.body = TinyModel(config)
        self.classifier = nn.Linear(config.width, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids=None, attention_mask=None, labels=None, output_hidden_states=None, return_dict=None, **kwargs
    ):
        found = self.body(input_ids, attention_mask, output_hidden_states=output_hidden_states)
        logits = self.classifier(found.last_hidden_state[:, 0])
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=found.hidden_states)
