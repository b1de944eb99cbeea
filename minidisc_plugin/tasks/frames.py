"""Which frames of a sound are real: models that read samples make one frame of many, and a mask is of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig


def convolutions(config: PretrainedConfig) -> tuple[tuple[int, int], ...]:
    """Kernel and stride of each convolution that a model reads samples with; empty where it has none.

    Source: `_get_feat_extract_output_lengths` of Wav2Vec2 in transformers; SEW averages frames besides.
    """
    squeezed = getattr(config, "squeeze_factor", None)
    kernels, strides = (getattr(config, name, None) or () for name in ("conv_kernel", "conv_stride"))
    return (*zip(kernels, strides, strict=True), *(((squeezed, squeezed),) if kernels and squeezed else ()))


def least_samples(layers: tuple[tuple[int, int], ...]) -> int:
    """Of how many samples a single frame is made."""
    least = 1
    for kernel, stride in reversed(layers):
        least = (least - 1) * stride + kernel
    return least


def frames_in(samples: Any, layers: tuple[tuple[int, int], ...]) -> Any:
    """How many frames so many samples become, of a number or of a tensor of them."""
    for kernel, stride in layers:
        samples = (samples - kernel) // stride + 1
    return samples


def frame_mask(mask: Tensor, frames: int, layers: tuple[tuple[int, int], ...]) -> Tensor | None:
    """The mask of hidden states.

    Args:
        mask: (batch, samples) or (batch, frames), 1 at what is real, which comes first.
        frames: Of the hidden states.
        layers: As `convolutions` gives them.

    Returns:
        (batch, frames); None where nothing tells which frames are real.
    """
    import torch

    if mask.shape[1] == frames:
        return mask
    real = frames_in(mask.sum(1), layers)
    if not layers or frames_in(mask.shape[1], layers) != frames:
        return None
    found: Tensor = torch.arange(frames, device=mask.device) < real[:, None]
    return found.to(mask.dtype)
