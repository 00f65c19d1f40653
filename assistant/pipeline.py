"""The one pipeline: the command line, a page, a batch and a notebook all call it.

Scan in, report out. Knows nothing of files to write or of who shows the steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Literal

import prompts
from assistant import exams, gate, writers
from assistant.draft import Draft
from assistant.exams import Exam
from assistant.finish import finish
from assistant.ledger import Ledger
from assistant.report import Report
from assistant.settings import Settings
from assistant.study import Study
from assistant.writers import Writer
from prompts import Phrasebook
from segment import models, organs
from segment.calibration import Calibrated
from segment.infer import Missing, Side, segment_crop, segment_head
from segment.measure import Wanted, measure
from segment.models import Segmenter
from segment.organs import Organ
from segment.register import SEED, Registration, doubt, register
from segment.volume import Volume

STEPS = ("gate", "locate", "segment", "measure", "write", "verify")
VERSIONED = ("voxcite", "torch", "monai", "SimpleITK", "numpy", "scipy")


@dataclass(frozen=True)
class Gated:
    """The study is a picture of the kind the exam needs."""

    study: Study


@dataclass(frozen=True, eq=False)
class Segmented:
    """What was found on each side, and the registration that said where to look."""

    sides: tuple[Side, ...]
    registration: Registration | None


Step = Gated | Registration | Segmented | Ledger | Draft | Report


class Loading:
    """A segmenter that is read in the background from the moment somebody will need it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._future: Future[Segmenter] | None = None

    @classmethod
    def of(cls, segmenter: Segmenter) -> "Loading":
        """Hold a segmenter that is there already, a test's for example."""
        ready = cls(segmenter.name)
        ready._future = Future()
        ready._future.set_result(segmenter)
        return ready

    def start(self) -> "Future[Segmenter]":
        """Begin to read, once."""
        if self._future is None:
            pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
            self._future = pool.submit(models.load, self.name)
            pool.shutdown(wait=False)
        return self._future

    def result(self) -> Segmenter:
        """Return the segmenter, waiting for it."""
        return self.start().result()


@dataclass(frozen=True)
class Assistant:
    """Scan in, report out; every part is replaceable and none changes.

    ``loading`` is the segmenter, which is read while the first scan is being registered.
    """

    settings: Settings
    exam: Exam
    organ: Organ
    loading: Loading
    calibrated: Calibrated
    writer: Writer
    phrasebook: Phrasebook

    @classmethod
    def from_settings(cls, settings: Settings) -> "Assistant":
        """Build every part once; raises ValueError for a name that no folder has."""
        exam = exams.load(settings.exam)
        if settings.coverage is not None:
            exam = replace(exam, coverage=settings.coverage)
        segmenter = settings.segmenter or exam.segmenter
        calibrated = models.calibrated(segmenter)
        writer, phrasebook = writers.load(settings.writer), prompts.load(settings.language)
        return cls(
            settings=settings,
            exam=exam,
            organ=organs.load(exam.organ),
            loading=Loading(segmenter),
            calibrated=calibrated,
            writer=writer,
            phrasebook=phrasebook,
        )

    def __call__(self, study: Study) -> Report:
        """Report on one study; raises ScanError where it is not one that can be measured."""
        *_, report = self.steps(study)
        assert isinstance(report, Report)
        return report

    def steps(self, study: Study) -> Iterator[Step]:
        """Report on one study, yielding each result as it is ready, in the order of STEPS."""
        gate.check_head(study.volume)
        self.loading.start()
        yield Gated(study)
        registration = register(study.volume)
        yield registration
        segmented = self.segment(study.volume, registration)
        yield segmented
        yield from self.report(study, segmented)

    def segment(self, volume: Volume, registration: Registration) -> Segmented:
        """Segment both sides, unless the registration cannot be trusted."""
        reason = doubt(registration)
        if reason is not None:
            return Segmented((Missing("left", reason), Missing("right", reason)), registration)
        found = segment_head(volume, self.organ, registration, self.loading.result())
        return Segmented(found, registration)

    def crop(self, study: Study, side: Literal["left", "right"]) -> Segmented:
        """Segment a scan that already is the box around one structure."""
        gate.check_crop(study.volume)
        return Segmented((segment_crop(study.volume, side, self.loading.result()),), None)

    def measure(self, study: Study, segmented: Segmented) -> Ledger:
        """Measure what was segmented."""
        exam = self.exam
        wanted = Wanted(
            exam.structures, exam.asymmetry, exam.coverage, exam.widest_relative_interval
        )
        volume = study.volume
        spacing_mm = volume.geometry.spacing_mm
        found = measure(
            segmented.sides, self.organ, wanted, self.calibrated, spacing_mm, volume.date
        )
        return Ledger(found)

    def report(self, study: Study, segmented: Segmented) -> Iterator[Step]:
        """Measure, write, fill in and verify."""
        ledger = self.measure(study, segmented)
        yield ledger
        draft = self.writer(ledger, self.exam, self.phrasebook)
        yield draft
        stated = ("technique.sample",) if study.is_template else ()
        stated = (*stated, "technique.radiological")
        provenance = self.provenance(study.volume, segmented, draft)
        yield finish(draft, ledger, self.exam, self.phrasebook, provenance, stated)

    def provenance(
        self, volume: Volume, segmented: Segmented, draft: Draft | None = None
    ) -> Mapping[str, Any]:
        """Say what a report was made from and with; nothing in it names a patient or a path."""
        made: dict[str, Any] = {
            "input_sha256": volume.sha256,
            "input": _described(volume),
            "exam": self.exam.name,
            "plan": asdict(self.settings),
            "calibration": self.calibrated.id,
            "calibration_n": self._calibration_n(),
            "versions": {name: version(name) for name in VERSIONED},
        }
        if not all(isinstance(side, Missing) for side in segmented.sides):
            segmenter = self.loading.result()
            made["segmenter"] = segmenter.name
            made["model_sha256"] = segmenter.weights_sha256
            made["seeds"] = list(segmenter.seeds)
        if segmented.registration is not None:
            made["registration"] = _summary(segmented.registration)
        if draft is not None:
            made["writer"] = draft.writer
        return made

    def _calibration_n(self) -> int:
        return max(len(scores) for scores in self.calibrated.levels[0].volume.values())


def _described(volume: Volume) -> dict[str, Any]:
    """Describe a scan's grid and what its file says of how it was made."""
    return {
        "modality": volume.modality,
        "sequence": volume.sequence,
        "shape": list(volume.geometry.shape),
        "spacing_mm": _rounded(volume.geometry.spacing_mm),
        **volume.facts,
    }


def _summary(registration: Registration) -> dict[str, Any]:
    """Describe how well a head was found."""
    return {
        "similarity": round(registration.similarity, 3),
        "determinant": round(registration.determinant, 3),
        "rotation_degrees": round(registration.rotation_degrees, 1),
        "inside": round(registration.inside, 3),
        "seed": SEED,
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]
