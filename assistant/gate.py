"""Whether a volume can be the picture an exam needs: by its grid and values, by what was read.

Knows nothing of anatomy in it. What passes here can still be no head: that is found out by the
registration.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from assistant.exams import SUPPLIED, Exam
from assistant.score import Score, percent
from segment.errors import Refusal, ScanError
from segment.reading.roles import Role
from segment.volume import Volume

# A field that holds both hippocampi and enough of the head to find them: an adult brain is about
# 140 x 170 x 120 mm. The fields of real heads used here are 159 mm or more in every direction.
SMALLEST_HEAD_MM = 100.0
COARSEST_HEAD_MM = 6.0
# Boxes around one hippocampus: those of the training data are 24 to 59 mm long.
SMALLEST_CROP_MM = 20.0
LARGEST_CROP_MM = 100.0
COARSEST_CROP_MM = 3.0
# Hounsfield units are -1000 in air (PS3.3 C.11.1.1.2, HU), and a CT's field holds air around the
# patient. MR has no negative tissue: filters leave values a few percent of the maximum below zero.
AIR_HU = -500.0
LEAST_AIR_SHARE = 0.01
# What an exam needs may be improbable and still be there: a study is refused only where at most
# one in twenty such pictures would be the right one, and where one other value is likelier than all
# the rest, so that what the picture looks like can be said. A wrong refusal costs the whole study,
# while what passes wrongly still meets the registration, which withholds what is no head. The
# reader's temperatures rest on so few subjects that smaller probabilities cannot be told apart.
LARGEST_FITTING = 0.05
LEAST_LOOKING = 0.5
# How a refusal names what a reader tells apart; a value that is not here is named by its key.
LOOKS: Mapping[str, str] = {
    "mr_t1": "T1-weighted MR",
    "mr_t1_contrast": "T1-weighted MR with contrast",
    "mr_t2": "T2-weighted MR",
    "mr_flair": "FLAIR MR",
    "mr_diffusion": "diffusion-weighted MR",
    "mr_epi": "echo-planar MR",
    "ct": "CT",
    "head": "the head",
    "hippocampus": "one hippocampus close up",
    "trunk": "the trunk",
    "phantom": "a phantom",
}


def check_supplied(
    volume: Volume, exam: Exam, *, has_mask: bool, has_own: bool, has_prior: bool = False
) -> None:
    """Hold an exam to where its segmentation comes from, and a supplied one to its kind of scan."""
    is_needed, modality = exam.segmenter == SUPPLIED, volume.modality
    if is_needed and not has_mask and not has_own:
        msg = f"exam {exam.name}: expected a segmentation of the scan, found none; give its file"
        own = ", or networks with --model nnunet:FOLDER" if exam.takes_networks else ""
        advice = f"with --segmentation{own}"
        raise ScanError(Refusal.NO_SEGMENTATION, f"{msg} {advice}")
    if has_mask and has_own:
        msg = "expected a segmentation or networks, found both; leave --segmentation or --model out"
        raise ScanError(Refusal.BAD_OPTION, msg)
    if has_mask and not is_needed:
        msg = f"exam {exam.name}: expected no segmentation, as it makes its own, found one; leave"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} --segmentation out or choose --exam ct-organs")
    if exam.compares == "nothing" and has_prior:
        msg = f"exam {exam.name}: expected no prior study, as it compares none, found one; leave"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} --prior out")
    if is_needed and modality not in {exam.modality, "unknown"}:
        msg = f"the scan: expected {exam.modality}, found {modality}; give the {exam.modality}"
        code = Refusal.NOT_CT if exam.modality == "CT" else Refusal.NOT_MR
        raise ScanError(code, f"{msg} that was segmented")


def is_ct(volume: Volume) -> bool:
    """Whether grey values are Hounsfield units: the file says so, or they can be nothing else."""
    is_unsaid = volume.modality == "unknown"
    return volume.modality == "CT" or (is_unsaid and has_hounsfield_air(volume))


def check_head(volume: Volume) -> None:
    """Refuse what is no MR of a whole head: CT, a small field, coarse slices."""
    _check_mr(volume)
    extent_mm = field_mm(volume)
    if max(extent_mm) < SMALLEST_HEAD_MM:
        msg = (
            f"the scan: expected a whole head, at least {SMALLEST_HEAD_MM:g} mm each way, found"
            f" {_size(extent_mm)}; give one, or measure the box around one hippocampus with"
            " `voxcite segment FILE --crop --side left` (or right)"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    if min(extent_mm) < SMALLEST_HEAD_MM:
        msg = (
            f"the scan: expected a whole head, at least {SMALLEST_HEAD_MM:g} mm each way, found a"
            f" field of {_size(extent_mm)} that cuts it; give a scan of the whole head"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    _check_spacing(volume, COARSEST_HEAD_MM)


def check_crop(volume: Volume) -> None:
    """Refuse what is no MR box around one hippocampus: CT, a whole head, a sliver."""
    _check_mr(volume)
    extent_mm = field_mm(volume)
    if max(extent_mm) > LARGEST_CROP_MM:
        msg = (
            f"the scan: expected with --crop a box around one hippocampus, at most"
            f" {LARGEST_CROP_MM:g} mm each way, found {_size(extent_mm)}; leave --crop out"
        )
        raise ScanError(Refusal.BAD_OPTION, msg)
    if min(extent_mm) < SMALLEST_CROP_MM:
        msg = (
            f"the scan: expected with --crop a box around one hippocampus, at least"
            f" {SMALLEST_CROP_MM:g} mm each way, found {_size(extent_mm)}; cut a larger box"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    _check_spacing(volume, COARSEST_CROP_MM)


def check_pictures(scores: Sequence[Score], exam: Exam) -> None:
    """Refuse a study whose pictures look like what the exam cannot use, as another kind or part.

    No ground for a refusal are scores that are not calibrated, a reader that is undecided, and one
    that does not know what the exam needs. Raises ScanError.
    """
    for fact, wanted in (("kind", exam.kinds), ("part", exam.parts)):
        found = {s.value: s.probability for s in scores if s.fact == fact and s.is_calibrated}
        if not found.keys() & set(wanted):
            continue
        looks_like = max(found, key=lambda value: found[value])
        fitting = sum(found.get(value, 0.0) for value in wanted)
        if fitting <= LARGEST_FITTING and found[looks_like] > LEAST_LOOKING:
            needed = " of ".join(_look(values[0]) for values in (exam.kinds, exam.parts) if values)
            msg = (
                f"the pictures: expected {' or '.join(map(_look, wanted))}, found what looks like"
                f" {_look(looks_like)} (probability {percent(found[looks_like])} %, read from the"
                f" image); give {needed}"
            )
            raise ScanError(Refusal.WRONG_PICTURE, msg)


def check_role(role: Role | None, exam: Exam) -> None:
    """Refuse a scan that is known to be of another role than the exam measures."""
    if role is not None and role not in exam.measures:
        wanted = " or ".join(exam.measures)
        msg = f"the scan: expected {wanted} for exam {exam.name}, found {role}; give the {wanted},"
        advice = f"or say what the scan is with --role {exam.measures[0]}=SERIES or its file"
        raise ScanError(Refusal.NO_ROLE, f"{msg} {advice}")


def field_mm(volume: Volume) -> tuple[float, float, float]:
    """Return the lengths of the field along i, j and k, from the outer faces of its voxels."""
    i, j, k = np.multiply(volume.geometry.shape, volume.geometry.spacing_mm)
    return float(i), float(j), float(k)


def has_hounsfield_air(volume: Volume) -> bool:
    """Whether so many values lie near those of air in CT that they can be nothing else."""
    return float(np.mean(volume.array <= AIR_HU)) >= LEAST_AIR_SHARE


def _look(value: str) -> str:
    """Say in words what a picture looks like."""
    return LOOKS.get(value, value.replace("_", " "))


def _check_mr(volume: Volume) -> None:
    if volume.modality not in {"MR", "unknown"}:
        msg = f"the scan: expected MR, found {volume.modality}; give a T1 MR of the head"
        raise ScanError(Refusal.NOT_MR, msg)
    if volume.modality == "unknown" and has_hounsfield_air(volume):
        msg = (
            f"the scan: expected MR, found the values of CT, down to {volume.array.min():.0f};"
            " give a T1 MR of the head"
        )
        raise ScanError(Refusal.NOT_MR, msg)


def _check_spacing(volume: Volume, coarsest_mm: float) -> None:
    coarse_mm = max(volume.geometry.spacing_mm)
    if coarse_mm > coarsest_mm:
        msg = (
            f"the scan: expected voxels of at most {coarsest_mm:g} mm, found {coarse_mm:.3g} mm;"
            " give a scan with thinner slices"
        )
        raise ScanError(Refusal.TOO_COARSE, msg)


def _size(extent_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{length:.0f}" for length in extent_mm) + " mm"
