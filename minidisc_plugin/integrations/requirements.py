"""Say which parts of this package work with the installed versions, and which pins mend the rest.

Reads version numbers only; it imports none of the packages it judges. The bounds are those of the tested
stacks (pyproject.toml, extra `inc`) and of the packages' own metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Capability = Literal["core", "inc", "openvino", "onnx"]
Verdict = Literal["ok", "missing", "too old", "too new", "unreadable"]

TITLES: dict[Capability, str] = {
    "core": "core (schedule, distil, extract)",
    "inc": "INC pruning + distillation",
    "openvino": "OpenVINO export",
    "onnx": "ONNX export",
}
_INC_HOST = "neural-compressor"


@dataclass(frozen=True)
class _Rule:
    """One capability's demand on one package: low <= version < below, either bound open if None."""

    package: str
    capability: Capability
    low: str | None = None
    below: str | None = None
    why: str = ""
    pin: str = ""  # what to install; made of the bounds if empty
    optional: bool = False  # only judged where installed
    companion: bool = False  # only shown where Neural Compressor is installed

    @property
    def remedy(self) -> str:
        bounds = ([f">={self.low}"] if self.low else []) + ([f"<{self.below}"] if self.below else [])
        return self.pin or self.package + ",".join(bounds)

    def judge(self, version: str | None) -> Verdict:
        if version is None:
            return "ok" if self.optional else "missing"
        try:
            release = Version(Version(version).base_version)  # 3.8rc1 counts as 3.8, 2.4.0a0+git as 2.4.0
        except InvalidVersion:
            return "unreadable"
        if self.low and release < Version(self.low):
            return "too old"
        return "too new" if self.below and release >= Version(self.below) else "ok"


def _host(package: str, capability: Capability, low: str, below: str, why: str, pin: str = "") -> _Rule:
    return _Rule(package, capability, low, below, why, pin)


def _companion(package: str, below: str | None, why: str, optional: bool = False) -> _Rule:
    return _Rule(package, "inc", None, below, why, optional=optional, companion=True)


_NUMPY_1 = "neural-compressor 3.7.1 needs numpy 1; later releases of this package go with numpy 2"
_CORE_LOWS = {
    "torch": "2.6",
    "transformers": "4.45",
    "accelerate": "1.0",
    "datasets": "2.20",
    "evaluate": "0.4.2",
    "filelock": "4.2",
    "matplotlib": "3.8",
    "numpy": "1.26",
    "packaging": "23.0",
    "pluggy": "1.5",
    "psutil": "5.9",
    "pyyaml": "6.0",
    "rich": "13.7",
    "safetensors": "0.4.3",
    "scikit-learn": "1.4",
    "scipy": "1.11",
}
_NO_INC = "pruning and distillation were removed in 3.8; 3.7.1 is the tested release that has them"
_NO_TRAINER = "INCTrainer is gone after 1.27; 1.27.0 is the tested release"
_EXPORT = "the exporter is tested with 1.27.0"
_CORE_ONLY = "the Intel hosts stop at transformers 4.57; 5.x runs the core only"
_OPTIMUM = "optimum-intel 1.27.0 goes with optimum 2.1"
_RULES = (
    *(_Rule(package, "core", low) for package, low in _CORE_LOWS.items()),
    _Rule("pydantic", "core", "2.7", "3"),
    _host(_INC_HOST, "inc", "3.7.1", "3.8", _NO_INC, "neural-compressor==3.7.1"),
    _host("optimum-intel", "inc", "1.27", "1.28", _NO_TRAINER, "optimum-intel==1.27.0"),
    _host("optimum-intel", "openvino", "1.27", "1.28", _EXPORT, "optimum-intel==1.27.0"),
    _host("transformers", "inc", "4.45", "4.58", _CORE_ONLY),
    _host("transformers", "openvino", "4.45", "4.58", _CORE_ONLY),
    _host("transformers", "onnx", "4.45", "4.58", _CORE_ONLY),
    _Rule("optimum", "inc", "2.1", "2.2", _OPTIMUM, optional=True),
    _Rule("optimum", "onnx", "2.1", "2.2", _OPTIMUM, optional=True),
    _Rule("optimum", "openvino", "2.1", "2.2", _OPTIMUM, optional=True),
    _Rule("openvino", "openvino", "2025.4", why="the runtime that export and check need"),
    _Rule("nncf", "openvino", "2.19", why="the OpenVINO extra of optimum-intel 1.27.0 needs it"),
    _Rule("optimum-onnx", "onnx", "0.1", why="the exporter that is tested comes with optimum-intel 1.27.0"),
    _Rule("onnxruntime", "onnx", "1.18", why="the runtime that export and check need"),
    _companion("numpy", "2", "neural-compressor 3.7.1 needs numpy 1"),
    _companion("pyarrow", "22", _NUMPY_1, optional=True),
    _companion("pandas", "3", _NUMPY_1, optional=True),
    _companion("scipy", "1.16", _NUMPY_1, optional=True),
    _companion("scikit-learn", "1.7", _NUMPY_1, optional=True),
    _companion("onnx", "1.20", _NUMPY_1, optional=True),
    _companion("setuptools", "81", "neural-compressor 3.7.1 imports pkg_resources, which 81 lacks"),
    _companion("six", None, "neural-compressor 3.7.1 imports it and does not install it"),
)


@dataclass(frozen=True)
class Row:
    """What the doctor says of one package.

    `version` is None where it is not installed, `remedy` (a pip requirement) and `blocks` (the capabilities
    it stands in the way of) are empty where nothing is wrong; `why` is a sentence for people.
    """

    package: str
    version: str | None
    verdict: Verdict
    remedy: str | None = None
    blocks: tuple[Capability, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All rows, whether each capability works, and the pip requirements that would make it work."""

    rows: tuple[Row, ...]
    works: Mapping[Capability, bool]
    pins: Mapping[Capability, tuple[str, ...]]

    def row(self, package: str) -> Row:
        """Give the row of a package; KeyError if it has none."""
        for row in self.rows:
            if row.package == canonicalize_name(package):
                return row
        raise KeyError(package)


def installed_versions() -> dict[str, str]:
    """List the installed distributions, name -> version, first on the path first; nameless ones left out."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(canonicalize_name(name), distribution.version)
    return versions


def diagnose(installed: Mapping[str, str] | None = None) -> Diagnosis:
    """Judge a set of installed versions.

    Args:
        installed: distribution name -> version, names in any spelling; the running environment by default.

    Returns:
        The diagnosis; nothing is imported and nothing is raised for what is missing.
    """
    found = installed_versions() if installed is None else installed
    versions = {str(canonicalize_name(name)): version for name, version in found.items()}
    broken: dict[Capability, list[_Rule]] = {title: [] for title in TITLES}
    shown: dict[str, list[tuple[_Rule, Verdict]]] = {}
    for rule in _RULES:
        version = versions.get(rule.package)
        verdict = rule.judge(version)
        if verdict != "ok":
            broken[rule.capability].append(rule)
        if (rule.companion and _INC_HOST not in versions) or (rule.optional and version is None):
            continue
        shown.setdefault(rule.package, []).append((rule, verdict))
    rows = tuple(_row(package, versions.get(package), judged) for package, judged in shown.items())
    core = [rule.remedy for rule in broken["core"]]
    pins = {title: tuple(dict.fromkeys([*core, *(rule.remedy for rule in rules)])) for title, rules in broken.items()}
    return Diagnosis(rows, {title: not needed for title, needed in pins.items()}, pins)


def _row(package: str, version: str | None, judged: list[tuple[_Rule, Verdict]]) -> Row:
    wrong = [(rule, verdict) for rule, verdict in judged if verdict != "ok"]
    if not wrong:
        own_trainer = package == "transformers" and version and Version(version) >= Version("4.47")
        return Row(package, version, "ok", why="INCTrainer through this package's subclass" if own_trainer else "")
    rule, verdict = wrong[0]
    blocks = tuple(dict.fromkeys(broken.capability for broken, _ in wrong))
    return Row(package, version, verdict, rule.remedy, blocks, rule.why)
