"""After the student: export and quantization, and the artefacts that they leave."""
