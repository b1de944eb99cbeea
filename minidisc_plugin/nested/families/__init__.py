"""The families that ship with this package: declarations only."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.nested.families.decoders import DECODERS
from minidisc_plugin.nested.families.encoder_decoders import ENCODER_DECODERS
from minidisc_plugin.nested.families.encoders import ENCODERS
from minidisc_plugin.nested.families.images import IMAGES
from minidisc_plugin.nested.families.sounds import SOUNDS

FAMILIES: tuple[Family, ...] = (*ENCODERS, *ENCODER_DECODERS, *DECODERS, *IMAGES, *SOUNDS)
