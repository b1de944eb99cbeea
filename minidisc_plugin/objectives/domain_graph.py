"""The graph by which HRKD weighs domains, layer by layer; of a few nodes, for which torch_geometric is too much."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.2  # of the leaky ReLU in graph attention


class DomainGraph(nn.Module):
    """What HRKD learns: a map of the student's states in each layer, and how much each domain counts there.

    Args:
        layers: Compared ones.
        domains: How many there are.
        hidden: Width of states.
        heads: Of graph attention.
        dropout: In graph attention.
    """

    def __init__(self, layers: int, domains: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.domains = domains
        self.fits = nn.ModuleList(_same(hidden) for _ in range(layers))
        self.graphs = nn.ModuleList(_Graph(hidden, heads, dropout) for _ in range(layers))
        self.among_domains = nn.ParameterList(_matrix(hidden, hidden) for _ in range(layers - 1))
        self.among_layers = nn.ParameterList(_matrices(domains, hidden) for _ in range(layers - 1))

    @property
    def kind(self) -> torch.dtype:
        """Of its weights."""
        return self.fits[0].weight.dtype  # type: ignore[return-value]

    def fitted(self, states: Sequence[Tensor]) -> list[Tensor]:
        """(batch, tokens, hidden) states of each layer, mapped."""
        return [fit(state) for fit, state in zip(self.fits, states, strict=True)]

    def forward(self, means: Tensor) -> Tensor:
        """(layers, domains) weights, of which those of a layer sum to 1.

        Args:
            means: (layers, domains, hidden) mean states, without gradient.
        """
        with torch.autocast(means.device.type, enabled=False):
            prototypes = torch.stack(self.fitted(list(means)))
            found = [self.graphs[0](prototypes[0])]
            for layer in range(1, len(prototypes)):
                found.append(self.graphs[layer](self._looking_back(prototypes[: layer + 1])))
            return torch.softmax(torch.stack(found), dim=-1)

    def _looking_back(self, prototypes: Tensor) -> Tensor:
        """(domains, hidden) for each domain a mixture of what it is in (layers, domains, hidden) so far."""
        here, place = prototypes[-1], len(prototypes) - 2
        related = torch.softmax(here @ self.among_domains[place] @ here.T, dim=-1) @ here
        wanted = torch.einsum("dij,dj->di", self.among_layers[place], related)
        shares = torch.softmax(torch.einsum("ldi,di->dl", prototypes, wanted), dim=-1)
        return torch.einsum("dl,ldi->di", shares, prototypes)


class _Graph(nn.Module):
    """Graph attention (Velickovic et al. 2018) in two layers over nodes that all are neighbours: a number for each."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = nn.ModuleList(_Attention(hidden, hidden, dropout) for _ in range(heads))
        self.second = _Attention(heads * hidden, 1, dropout)

    def forward(self, nodes: Tensor) -> Tensor:
        """(domains, hidden) to (domains,)."""
        nodes = functional.dropout(nodes, self.dropout, self.training)
        nodes = torch.cat([head(nodes) for head in self.first], dim=-1)
        found: Tensor = self.second(functional.dropout(nodes, self.dropout, self.training))
        return found.squeeze(-1)


class _Attention(nn.Module):
    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.map = _matrix(inputs, outputs)
        self.asking, self.asked = _matrix(outputs, 1), _matrix(outputs, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        mapped = nodes @ self.map
        scores = functional.leaky_relu(mapped @ self.asking + (mapped @ self.asked).T, _SLOPE)
        shares = functional.dropout(torch.softmax(scores, dim=-1), self.dropout, self.training)
        return functional.elu(shares @ mapped)


def _same(width: int) -> nn.Linear:
    """A layer that begins as one that changes nothing."""
    layer = nn.Linear(width, width)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _matrix(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns), gain=1.414))


def _matrices(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.stack([_matrix(width, width).detach() for _ in range(count)]))
