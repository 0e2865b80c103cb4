"""Pixels: the scene, renderers, encoders, frame markers and the WebRTC glue."""
