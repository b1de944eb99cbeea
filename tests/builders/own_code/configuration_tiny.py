"""The config of a model with code of its own."""

from transformers import PretrainedConfig


class TinyConfig(PretrainedConfig):
    """Sizes by names of its own."""

    model_type = "tiny_of_its_own"

    def __init__(self, vocab_size=64, width=32, depth=2, heads=4, inner=48, **kwargs):
        self.vocab_size, self.width, self.depth, self.heads, self.inner = vocab_size, width, depth, heads, inner
        super().__init__(**kwargs)
