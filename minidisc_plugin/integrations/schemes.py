"""Every scheme of the step `quantization`: what it makes, and what it asks of the hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minidisc_plugin.integrations.export.route import Format
from minidisc_plugin.integrations.requirements.routes import Capability


@dataclass(frozen=True)
class Way:
    """How a scheme is had, and what comes of it.

    Attributes:
        runtime: What runs it and in which precision, for tables.
        folder: In the output directory.
        what: For the list of what a run writes.
        capability: Of the hosts.
        route: The only one that will do, where there is one.
        of: The format that is quantized; None for a model of torch.
        calibrated: Whether ranges of activations are taken from examples.
    """

    runtime: str
    folder: str
    what: str
    capability: Capability
    route: str | None = None
    of: Format | None = None
    calibrated: bool = False


WAYS: Mapping[str, Way] = {
    "openvino_int8": Way(
        "OpenVINO int8",
        "student-openvino-int8",
        "the student as OpenVINO IR, weights in 8 bits",
        "openvino_bits",
        of="openvino",
    ),
    "openvino_int4": Way(
        "OpenVINO int4",
        "student-openvino-int4",
        "the student as OpenVINO IR, weights in 4 bits",
        "openvino_bits",
        of="openvino",
    ),
    "openvino_static": Way(
        "OpenVINO int8, static",
        "student-openvino-static",
        "the student as OpenVINO IR, weights and activations in 8 bits",
        "openvino_bits",
        of="openvino",
        calibrated=True,
    ),
    "onnx_dynamic": Way(
        "ONNX int8, dynamic",
        "student-onnx-dynamic",
        "the student as ONNX in 8 bits, by ranges of each batch",
        "onnx_bits",
        "dynamic",
        of="onnx",
    ),
    "onnx_int8": Way(
        "ONNX int8",
        "student-onnx-int8",
        "the student as ONNX, weights and activations in 8 bits",
        "onnx_bits",
        "nncf",
        of="onnx",
        calibrated=True,
    ),
    "torchao_int8": Way(
        "torch int8, torchao",
        "student-torchao-int8",
        "the student, weights in 8 bits by torchao",
        "torch_bits",
        "torchao",
    ),
    "inc_dynamic": Way(
        "torch int8, dynamic",
        "student-inc-dynamic",
        "the student in 8 bits by Neural Compressor, dynamic",
        "torch_bits",
        "inc",
    ),
    "inc_static": Way(
        "torch int8, static",
        "student-inc-static",
        "the student in 8 bits by Neural Compressor, calibrated",
        "torch_bits",
        "inc",
        calibrated=True,
    ),
}
