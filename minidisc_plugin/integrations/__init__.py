"""The hosts: Neural Compressor, Optimum Intel, OpenVINO, ONNX Runtime; each is imported only when used."""
