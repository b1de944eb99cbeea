"""Teachers loaded as a run loads them, with the families that are installed."""

from __future__ import annotations

from functools import partial

from minidisc_plugin.nested import teacher
from minidisc_plugin.plugins import families

load_teacher = partial(teacher.load_teacher, families=families())
read_teacher = partial(teacher.read_teacher, families=families())
