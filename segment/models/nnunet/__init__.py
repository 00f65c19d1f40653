"""A folder that nnU-Net v2 trained predicts here, without nnunetv2. Knows nothing of organs.

``plans.json`` says how to prepare a scan and how the network is built, ``dataset.json`` what its
channels mean, and each ``fold_*/checkpoint_final.pth`` is one member.
"""

from segment.models.nnunet.predict import Folder, load

__all__ = ["Folder", "load"]
