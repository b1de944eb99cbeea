"""Every capability and the routes to it: bounds are those of the tested stacks and of the packages' own metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from minidisc_plugin.integrations.requirements.rules import Route, Rule

Capability = Literal["core", "host", "openvino", "openvino_bits", "onnx", "onnx_bits", "torch_bits"]

TITLES: dict[Capability, str] = {
    "core": "core (schedule, distil, extract)",
    "host": "a schedule in a host",
    "openvino": "OpenVINO export",
    "openvino_bits": "OpenVINO in 8 and 4 bits",
    "onnx": "ONNX export",
    "onnx_bits": "ONNX in 8 bits",
    "torch_bits": "torch in 8 bits",
}
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
_CORE = (*(Rule(package, low) for package, low in _CORE_LOWS.items()), Rule("pydantic", "2.7", "3"))
# Builds of one runtime for other devices, and of its next release.
_ORTS = ("gpu", "directml", "openvino", "qnn", "rocm", "training")
_ONNXRUNTIMES = (*(f"onnxruntime-{build}" for build in _ORTS), "ort-nightly")
_OPENVINOS = ("openvino-nightly",)
_RUNTIME = "the runtime that export and check need"

# The frozen stack: the last releases that prune and distil in a host's trainer.
_NO_INC = "pruning and distillation were removed in 3.8; 3.7.1 is the tested release that has them"
_NO_TRAINER = "INCTrainer is gone after 1.27; 1.27.0 is the tested release"
_OLD_HOSTS = "optimum-intel 1.27 and optimum-onnx stop at transformers 4.57"
_NUMPY_1 = "neural-compressor 3.7.1 needs numpy 1; later releases of this package go with numpy 2"
_OLD_TRANSFORMERS = Rule("transformers", "4.45", "4.58", _OLD_HOSTS)
_OLD_OPTIMUM = Rule("optimum", "2.1", "2.2", "optimum-intel 1.27.0 goes with optimum 2.1", optional=True)
_INC = (
    Rule("neural-compressor", "3.7.1", "3.8", _NO_INC, "neural-compressor==3.7.1"),
    Rule("optimum-intel", "1.27", "1.28", _NO_TRAINER, "optimum-intel==1.27.0"),
    _OLD_TRANSFORMERS,
    _OLD_OPTIMUM,
    Rule("numpy", None, "2", "neural-compressor 3.7.1 needs numpy 1"),
    Rule("pyarrow", None, "22", _NUMPY_1, optional=True),
    Rule("pandas", None, "3", _NUMPY_1, optional=True),
    Rule("scipy", None, "1.16", _NUMPY_1, optional=True),
    Rule("scikit-learn", None, "1.7", _NUMPY_1, optional=True),
    Rule("onnx", None, "1.20", _NUMPY_1, optional=True),
    Rule("setuptools", None, "81", "neural-compressor 3.7.1 imports pkg_resources, which 81 lacks"),
    Rule("six", why="neural-compressor 3.7.1 imports it and does not install it"),
)
_OLD_OPENVINO = (
    Rule("optimum-intel", "1.27", "1.28", "the exporter is tested with 1.27.0", "optimum-intel==1.27.0"),
    _OLD_TRANSFORMERS,
    _OLD_OPTIMUM,
    Rule("openvino", "2025.4", why=_RUNTIME, namesakes=_OPENVINOS),
    Rule("nncf", "2.19", why="the OpenVINO extra of optimum-intel needs it"),
)
_OLD_ONNX = (
    Rule("optimum-onnx", "0.1", why="the exporter that is tested comes with optimum-intel 1.27.0"),
    _OLD_TRANSFORMERS,
    _OLD_OPTIMUM,
    Rule("onnxruntime", "1.18", why=_RUNTIME, namesakes=_ONNXRUNTIMES),
)

# Today: transformers exports by itself, and Optimum Intel 2 goes with the first releases of transformers 5.
_EXPORTERS = Rule("transformers", "5.23", why="its exporters are complete from 5.23")
_EXPORTING_TORCH = Rule("torch", "2.11", why="transformers' exporters need it")
_NNCF = Rule("nncf", "2.18", why="it quantizes")
_OPENVINO = (_EXPORTERS, _EXPORTING_TORCH, Rule("openvino", "2025.4", why=_RUNTIME, namesakes=_OPENVINOS))
_ONNX = (
    _EXPORTERS,
    _EXPORTING_TORCH,
    Rule("onnx", why="transformers' exporter needs it"),
    Rule("onnxscript", why="transformers' exporter needs it"),
    Rule("onnxruntime", "1.21", why=_RUNTIME, namesakes=_ONNXRUNTIMES),
)
_NEW_OPTIMUM = (
    Rule("optimum-intel", "2.2", "3", "2.2.0 is the tested release"),
    Rule("transformers", "5.0", "5.6", "optimum-intel 2.2 stops at transformers 5.5"),
    Rule("openvino", "2026.0", why="optimum-intel 2.2 needs it", namesakes=_OPENVINOS),
    Rule("nncf", "3.3", why="optimum-intel 2.2 needs it"),
)
_PT = "neural-compressor installs it as neural-compressor[pt] only"
_PIN = "neural-compressor[pt]>=3.8"
_INC3 = (
    Rule("neural-compressor", "3.8", why="3.10 is the tested release", pin=_PIN, namesakes=("neural-compressor-pt",)),
    Rule("torchao", why=_PT, pin=_PIN),
    Rule("prettytable", why=_PT, pin=_PIN),
    Rule("py-cpuinfo", why=_PT, pin=_PIN),
)
_OLIVE = (Rule("olive-ai", "0.13", why="0.13.0 is the tested release"),)
_TORCHAO = (
    Rule("transformers", "5.0", why="it saves what torchao quantized from 5.0 on"),
    Rule("torchao", "0.15", why="transformers 5 needs it"),
)

# In the order in which they are taken; of those that cannot work, the one that is nearest is advised.
ROUTES: Mapping[Capability, tuple[Route, ...]] = {
    "core": (Route("core", "", _CORE),),
    "host": (
        Route("inc", "INCTrainer and Neural Compressor 3.7", _INC),
        Route("inc3", "Neural Compressor 3.8 and newer", _INC3),
        Route("olive", "Olive", _OLIVE),
    ),
    "openvino": (
        Route("optimum", "Optimum Intel 1.27", _OLD_OPENVINO),
        Route("transformers", "transformers.exporters", _OPENVINO),
        Route("optimum", "Optimum Intel 2.2", _NEW_OPTIMUM),
    ),
    "openvino_bits": (
        Route("optimum", "Optimum Intel 1.27 and NNCF", _OLD_OPENVINO),
        Route("transformers", "transformers.exporters and NNCF", (*_OPENVINO, _NNCF)),
        Route("optimum", "Optimum Intel 2.2 and NNCF", _NEW_OPTIMUM),
    ),
    "onnx": (
        Route("optimum", "Optimum ONNX", _OLD_ONNX),
        Route("transformers", "transformers.exporters", _ONNX),
    ),
    "onnx_bits": (
        Route("dynamic", "ONNX Runtime (dynamic)", _OLD_ONNX),
        Route("dynamic", "ONNX Runtime (dynamic)", _ONNX),
        Route("nncf", "NNCF (calibrated)", (*_ONNX, _NNCF)),
    ),
    "torch_bits": (
        Route("inc", "Neural Compressor 3.7", _INC),
        Route("torchao", "torchao", _TORCHAO),
    ),
}
