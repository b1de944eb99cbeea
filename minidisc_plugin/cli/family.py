"""`minidisc family`: where the heads and neurons of a model live, as a declaration."""

from __future__ import annotations

import argparse

from minidisc_plugin.foundation.standard_streams import say

_EPILOG = """\
A family is declared for many architectures (docs/families.md). For another one this command derives it from what flows
where in a forward pass, and verifies it: units that are left out change what zeroing them changes, in every layer, and
a student loads where this package is not installed. `minidisc run` does the same by itself; the declaration that is
printed saves it the time, from a plug-in (docs/hooks.md).

  minidisc family EleutherAI/pythia-70m
  minidisc family models/teacher

Of the model only config.json is read; weights are drawn at random.
"""


def family_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("model", metavar="MODEL", help="a folder or a Hub name")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")


def family_command(options: argparse.Namespace) -> None:
    """`minidisc family`.

    Raises:
        ConfigError: MODEL is no model of a class of transformers.
        UnsupportedModelError: no family is declared for it, and none could be derived.
    """
    from minidisc_plugin.foundation.model_files.quiet import quiet
    from minidisc_plugin.nested.deriving.declaration import declaration
    from minidisc_plugin.nested.deriving.derive import family_for
    from minidisc_plugin.nested.teacher import drawn_model
    from minidisc_plugin.plugins import families

    known = families()
    with quiet():
        model = drawn_model(options.model, known, options.trust_remote_code)
        family = family_for(model, known)
    name = type(model).__name__
    how = f"derived from {name}, and verified" if family.derived else "declared"
    say(f"{family.model_type}: {how}")
    print(declaration(family), end="")
