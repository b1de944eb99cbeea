"""A layer of a model with code of its own."""

import torch
from torch import nn


class Mixer(nn.Module):
    """Attention with one projection for query, key and value, head by head."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.head_dim = config.heads, config.width // config.heads
        self.project = nn.Linear(config.width, 3 * config.width)
        self.back = nn.Linear(config.width, config.width)

    def forward(self, hidden, mask):
        found = self.project(hidden).unflatten(-1, (-1, 3, self.head_dim)).transpose(1, 2)
        query, key, value = found.unbind(-2)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.back(mixed.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """Attention and a gated feed-forward network."""

    def __init__(self, config):
        super().__init__()
        self.first, self.second = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.mixer = Mixer(config)
        self.up, self.gate = nn.Linear(config.width, config.inner), nn.Linear(config.width, config.inner)
        self.down = nn.Linear(config.inner, config.width)

    def forward(self, hidden, mask):
        hidden = hidden + self.mixer(self.first(hidden), mask)
        inner = self.second(hidden)
        return hidden + self.down(self.up(inner) * torch.sigmoid(self.gate(inner)))
