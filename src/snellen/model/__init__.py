"""The torch twin of the bundled model: the vision encoder, the decoder, and their export to ONNX.

Everything here needs the `train` extra; inference never imports it.
"""
