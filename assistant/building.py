"""The parts of an assistant, as the settings ask for them. Knows nothing of scans."""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.resources import as_file
from pathlib import Path

from assistant import exams, readers
from assistant.exams import Exam
from assistant.loading import Loading
from assistant.readers import Reader
from assistant.settings import Settings
from assistant.writers.template import NAME as TEMPLATE
from segment import models
from segment.calibration import Calibrated
from segment.effort import EFFORT
from segment.errors import Refusal, ScanError
from segment.familiarity import Familiar
from segment.models import FieldSegmenter
from segment.predicted_dice import DiceCurve
from segment.repeatability import Repeatability

WEIGHTS, CALIBRATION = "weights.safetensors", "calibration.json"  # as `voxcite calibrate` writes


def check_parts(exam: Exam, settings: Settings) -> None:
    """Refuse parts that do not go together; raises ValueError."""
    is_supplied = exam.segmenter == exams.SUPPLIED
    if is_supplied and settings.writer != TEMPLATE:
        msg = f"exam {exam.name}: expected the template writer, found {settings.writer}"
        raise ValueError(f"{msg}, which was trained on no such report; leave --writer out")
    if settings.intervals is not None and (is_supplied or settings.effort != EFFORT):
        msg = "expected intervals to choose among, found none of this exam and effort"
        raise ValueError(f"{msg}; leave --intervals out")
    if settings.effort != EFFORT:
        _check_effort(exam, settings, is_supplied=is_supplied)
    if settings.segmenter is not None and models.is_own(settings.segmenter):
        _check_networks(exam, is_supplied=is_supplied)


def _check_networks(exam: Exam, *, is_supplied: bool) -> None:
    """Refuse a user's own networks for an exam that they cannot draw; raises ValueError."""
    if exam.takes_networks:
        return
    if is_supplied:
        msg = f"exam {exam.name}: expected a segmentation of its lesions, found a folder of"
        raise ValueError(f"{msg} networks; leave --model out and give --segmentation")
    msg = f"exam {exam.name}: expected its own segmenter, found a folder of the user's"
    raise ValueError(f"{msg}; leave it out or choose --exam ct-organs")


def _check_effort(exam: Exam, settings: Settings, *, is_supplied: bool) -> None:
    """Refuse an effort that nothing could be spent on, or that the writer has no words for."""
    if is_supplied:
        msg = f"exam {exam.name}: expected the effort {EFFORT}, found {settings.effort}"
        raise ValueError(f"{msg}, and no network of ours to spend it on; leave --effort out")
    if settings.writer != TEMPLATE:
        msg = f"expected the template writer with the effort {settings.effort}, whose values have"
        raise ValueError(f"{msg} no interval, found {settings.writer}; choose --writer template")


def calibrated_of(segmenter: str, settings: Settings) -> Calibrated:
    """Read the intervals of a segmenter; without any where other members are to be asked.

    Raises ValueError where there is no calibration, or none that groups as the settings ask.
    """
    try:
        calibrated = models.calibrated(segmenter, weights_of(settings, CALIBRATION))
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{CALIBRATION}: expected what `voxcite calibrate` writes at its end, found none in"
        raise ValueError(f"{msg} the folder of --weights; run it to its end") from error
    chosen = settings.intervals or calibrated.intervals
    calibrated = replace(calibrated, intervals=chosen)
    calibrated.expect_grouped()
    return calibrated if settings.effort == EFFORT else calibrated.without_scores()


def is_shipped(segmenter: str, settings: Settings) -> bool:
    """Whether the members are those that a model's figures are of."""
    is_own = settings.weights is not None or segmenter not in models.available()
    return not is_own and settings.effort == EFFORT


def curves_of(segmenter: str, settings: Settings) -> Mapping[str, DiceCurve]:
    """Read what the members' agreement went with; of others than the shipped nobody knows."""
    return models.dice_curves(segmenter) if is_shipped(segmenter, settings) else {}


def familiar_of(segmenter: str, settings: Settings) -> Familiar:
    """Read what the calibration cases look like; of others than the shipped nobody knows."""
    return models.familiar(segmenter) if is_shipped(segmenter, settings) else Familiar()


def repeatability_of(segmenter: str, settings: Settings) -> Repeatability:
    """Read how far a segmenter's repeats lie apart; of a user's own networks nobody knows.

    Raises ScanError for a file that is none, and for one of other networks or intervals.
    """
    if settings.repeatability is not None:
        return _own_repeatability(Path(settings.repeatability), segmenter, settings)
    if not is_shipped(segmenter, settings):
        return Repeatability.unknown()
    return models.repeatability(segmenter)


def _own_repeatability(path: Path, segmenter: str, settings: Settings) -> Repeatability:
    """Read what a user measured, with these networks and these intervals and no others."""
    if segmenter == exams.SUPPLIED or settings.effort != EFFORT:
        msg = "--repeatability: expected an exam with networks and intervals of its own, found none"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; leave it out")
    try:
        found = Repeatability.from_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
        msg = f"{path.name}: expected what `voxcite repeatability` wrote, found none that can be"
        msg = f"{msg} read; give its repeatability.toml"
        raise ScanError(Refusal.BAD_OPTION, msg) from error
    with weights_file(segmenter, settings) as weights:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    calibration = calibrated_of(segmenter, settings).id
    if (found.weights_sha256, found.calibration) != (digest, calibration):
        msg = f"{path.name}: expected the repeatability of these networks and intervals, found that"
        msg = f"{msg} of others; measure it with the networks that the draft is made with"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return found


def brought(settings: Settings) -> Loading[FieldSegmenter] | None:
    """Prepare the networks that a user brought, if any."""
    name = settings.segmenter
    if name is None or not models.is_own(name):
        return None
    return Loading(partial(models.load_own, name, is_trusted=settings.trust))


def reading_of(name: str) -> Loading[Reader] | None:
    """Prepare a reader by its name; the first that is usable for ``auto``, none for ``none``."""
    if name == "auto":
        return next((reading_of(usable) for usable in readers.usable()), None)
    return None if name == "none" else Loading(partial(readers.load, name))


def weights_of(settings: Settings, name: str) -> Path | None:
    """Name a file of the segmenter's own weights, where there are some."""
    return None if settings.weights is None else Path(settings.weights) / name


def weights_file(segmenter: str, settings: Settings) -> AbstractContextManager[Path]:
    """Give the file of a segmenter's weights, its own or the shipped ones."""
    own = weights_of(settings, WEIGHTS)
    if own is not None:
        return nullcontext(own)
    return as_file(models.place(segmenter).joinpath(str(models.describe(segmenter)["weights"])))
