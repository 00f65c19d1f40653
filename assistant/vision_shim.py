"""Makes torchvision importable beside a CPU build of torch. Knows nothing of models or images.

The wheel of torchvision that open_clip and timm pull in may be built for CUDA. Beside a CPU build
of torch its import then fails because the operators of its library are not registered; two
definitions without an implementation are all it asks for. Nothing here calls either of them.
"""

import sys
from functools import cache

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
MISSING = "operator torchvision::nms does not exist"


@cache
def ensure_torchvision() -> None:
    """Import torchvision, defining its two operators first where its library did not load.

    Call it before the first import of transformers' image classes, of open_clip or of peft. Where
    torchvision is not installed these do without, or say themselves that they need it.
    """
    try:
        import torchvision
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if MISSING not in str(error):
            raise
        _define()
        import torchvision  # noqa: F401


def _define() -> None:
    """Define the operators and forget the half-imported package."""
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for signature in OPERATORS:
        library.define(signature)
    _KEPT.append(library)  # its definitions end with it


_KEPT: list[object] = []
