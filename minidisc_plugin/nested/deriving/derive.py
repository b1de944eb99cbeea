"""The family of a model: the declared one, the one its checkpoint names, or one that is derived and proven."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.nested.deriving.elsewhere import check_elsewhere
from minidisc_plugin.nested.deriving.proof import Proof
from minidisc_plugin.nested.deriving.proposal import proposals
from minidisc_plugin.nested.deriving.reading import MixedRead
from minidisc_plugin.nested.family import family_of, is_known

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_REFUSED = (
    "model: no family is declared for {name}, and none could be derived: {reason}; a plug-in can declare it through "
    "the hook minidisc_register_families"
)
# By class and config: what a model is made of depends on nothing else, and a process asks more than once.
_derived: dict[tuple[type, str], Family] = {}


def family_for(model: PreTrainedModel, known: Mapping[str, Family]) -> Family:
    """The family of a model; where none is declared for its architecture, one is derived from its structure.

    Args:
        model: Left as it is.
        known: Families by model type.

    Raises:
        UnsupportedModelError: no family is declared, and none could be proven; the message names the place that failed.
    """
    if is_known(model.config, known):
        return family_of(model.config, known)
    key = (type(model), model.config.to_json_string())
    if key not in _derived:
        _derived[key] = derived_family(model)
    return _derived[key]


def derived_family(model: PreTrainedModel) -> Family:
    """Lay a model out by what flows where in a forward pass of it, and prove that this is right.

    Every kind of place is tried in every layer, in fp64, on random inputs: reordered units change nothing, and half of
    them, and all of them, left out change what zeroing their part of the output projection changes. Then a student of
    half the units is extracted, saved, and loaded by a process that cannot import this package.

    Raises:
        UnsupportedModelError: names the first place that failed.
    """
    start = time.perf_counter()
    name = f"{type(model).__name__} ({model.config.model_type})"
    logger.info("model: no family is declared for %s; deriving one, and verifying it", name)
    try:
        family = _derived_and_verified(model)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(_REFUSED.format(name=name, reason=error)) from error
    except Exception as error:  # its forward pass is its own code
        reason = f"it does not compute random inputs ({type(error).__name__}: {one_line(str(error))})"
        raise UnsupportedModelError(_REFUSED.format(name=name, reason=reason)) from error
    logger.info("model: the family of %s was derived and verified in %.0f s", name, time.perf_counter() - start)
    return family


def _derived_and_verified(model: PreTrainedModel) -> Family:
    proof = Proof(model)
    found = list(proposals(proof.model))
    places = [_proven(proof, path, declared) for path, declared in found if not isinstance(declared, MixedRead)]
    heads = tuple(place for place in places if isinstance(place, Heads))
    neurons = tuple(place for place in places if isinstance(place, Neurons))
    if not heads or not neurons:
        missing = "attention with heads" if not heads else "feed-forward network with neurons"
        reasons = [declared.reason for _, declared in found if isinstance(declared, MixedRead)]
        why = f" ({reasons[0]})" if reasons else ""
        raise UnsupportedModelError(f"its layers have no {missing} of which some can be left out{why}")
    family = Family(model_type=model.config.model_type, layouts=(Layout(heads=heads, neurons=neurons),), derived=True)
    check_elsewhere(proof.model, family)
    return family


def _proven(proof: Proof, path: str, declared: Sequence[Heads | Neurons]) -> Heads | Neurons:
    """The first declaration of a place that holds.

    Raises:
        UnsupportedModelError: none does; says why the likeliest does not.
    """
    faults = []
    for one in declared:
        fault = proof.fault(one)
        if not fault:
            return one
        faults.append(fault)
    raise UnsupportedModelError(f"{path}: {faults[0]}")
