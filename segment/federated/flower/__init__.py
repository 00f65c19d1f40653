"""Flower's side of a federation, in an environment of its own: it holds no torch and no gradio."""
