"""Why something was not done, in the words of the page and then in the library's own sentence.

Knows nothing of studies or of who asked.
"""

from collections.abc import Mapping

from assistant.denial import DeniedError
from prompts import page
from segment.errors import Refusal

# What helps, and after which refusals; after all others whoever runs the page must look.
HELPS: Mapping[str, tuple[Refusal, ...]] = {
    "choose": (Refusal.SEVERAL_SERIES, Refusal.SEVERAL_VOLUMES),
    "send": (
        Refusal.MISSING,
        Refusal.UNREADABLE,
        Refusal.EMPTY_FOLDER,
        Refusal.UNSAFE_ARCHIVE,
    ),
    "export": (
        Refusal.WRONG_DIMENSIONS,
        Refusal.NOT_FINITE,
        Refusal.CONSTANT,
        Refusal.NO_SPACING,
        Refusal.SINGULAR_AFFINE,
        Refusal.AMBIGUOUS_POSITION,
        Refusal.UNSUPPORTED_VOXELS,
        Refusal.UNSUPPORTED_DICOM,
        Refusal.UNEVEN_SLICES,
        Refusal.NO_SUV,
    ),
    "other": (
        Refusal.NOT_MR,
        Refusal.NOT_CT,
        Refusal.NO_ROLE,
        Refusal.FIELD_TOO_SMALL,
        Refusal.TOO_COARSE,
        Refusal.WRONG_PICTURE,
    ),
    "smaller": (Refusal.TOO_LARGE, Refusal.TOO_COSTLY),
    "prior": (Refusal.OTHER_PATIENT, Refusal.SAME_STUDY, Refusal.BAD_DATES),
    "segmentation": (Refusal.WRONG_GRID, Refusal.WRONG_LABELS, Refusal.NO_SEGMENTATION),
}
OTHERWISE = "operator"


def reason(code: str, language: str) -> str:
    """Say in a few words what a code stands for; nothing for one without words."""
    say = page.load(language)
    return say.get(f"refused.{code}") or say.get(f"denied.{code}", "")


def help_for(code: str, language: str) -> str:
    """Say what to do after a study was refused."""
    groups = (group for group, codes in HELPS.items() if code in codes)
    return page.load(language)[f"help.{next(groups, OTHERWISE)}"]


def told(error: Exception, language: str) -> str:
    """Say why an act was not done: the page's words first, then the sentence of the library."""
    sentence = str(error)
    known = reason(error.code, language) if isinstance(error, DeniedError) else ""
    if not known:
        return sentence
    return page.load(language)["denied"].format(reason=known, sentence=sentence)
