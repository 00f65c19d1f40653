"""A MONAI bundle predicts here: its own preparation, network and inferer. Knows nothing of organs.

``configs/metadata.json`` says what the channels are, ``configs/inference.json`` how each part is
made, and ``models/model.pt`` holds the weights (https://docs.monai.io/en/stable/mb_specification.html).
"""

from segment.models.bundle.predict import Bundle, load

__all__ = ["Bundle", "load"]
