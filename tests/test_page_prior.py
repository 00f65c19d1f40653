"""A prior scan is shown beside the current one, linked by place, and nothing is claimed of it."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from assistant.page import prior
from assistant.page.desk import SOURCE, Desk
from assistant.page.opening import Opening
from assistant.page.prior import Place, beside
from assistant.page.showing import Showing
from assistant.page.uploads import UploadError
from assistant.page.work import Beside, FullError, Request, Workshop
from assistant.study import Identifiers, Study
from segment.change import RELATIVE
from segment.register.pair import Alignment
from tests.followed import REPEATABILITY
from tests.phantoms import head, registered
from tests.test_page_work import HEAD, drafted, in_place, phantom_assistant, scan, store  # noqa: F401

TURN = np.array(
    [[0.0, -1.1, 0.0, 5.0], [1.0, 0.0, 0.0, -3.0], [0.0, 0.0, 0.9, 8.0], [0.0, 0.0, 0.0, 1.0]]
)
SHIFT = np.array([[1.0, 0, 0, 20], [0, 1.0, 0, -10], [0, 0, 1.0, 4], [0, 0, 0, 1.0]])
CURRENT = Place(SHIFT.tolist(), "2024-02-29", "a", "one")
PRIOR = Place(TURN.tolist(), "2021-03-04", "a", "two")


def study_of(volume, patient=""):
    return Study(volume, "scan", Identifiers(patient_id=patient) if patient else None)


def test_a_place_of_one_scan_is_the_same_place_of_the_template_in_the_other():
    point = np.array([-24.0, -22.0, -10.5, 1.0])
    linked = np.array(beside(CURRENT, PRIOR).to_prior)
    assert np.allclose(linked @ SHIFT @ point, TURN @ point)


def test_a_prior_is_told_from_another_that_is_laid_there_later():
    assert beside(CURRENT, PRIOR).sha256 == PRIOR.sha256
    assert beside(CURRENT, PRIOR) != beside(CURRENT, replace(PRIOR, sha256="three"))


def test_two_scans_of_one_patient_in_order_raise_no_doubt():
    assert beside(CURRENT, PRIOR).doubts == ()


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"patient": "b"}, "prior.other_patient"),
        ({"sha256": "one"}, "prior.same_scan"),
        ({"date": "2025-01-01"}, "prior.later"),
        ({"template_to_scan": None}, "prior.unlinked"),
    ],
)
def test_what_must_be_known_before_comparing_is_told(changed, doubt):
    assert beside(CURRENT, replace(PRIOR, **changed)).doubts == (doubt,)


@pytest.mark.parametrize("unknown", [{"patient": ""}, {"date": None}])
def test_what_no_file_says_is_no_doubt(unknown):
    assert beside(CURRENT, replace(PRIOR, **unknown)).doubts == ()


def test_a_registration_that_is_not_trusted_links_nothing():
    place = Place.of(study_of(HEAD.volume), registered(similarity=0.3))
    assert place.template_to_scan is None
    assert beside(CURRENT, place).to_prior is None


def test_the_patients_identifier_is_not_kept():
    place = Place.of(study_of(HEAD.volume, "QZ-1"), registered())
    assert "QZ-1" not in repr(place)
    assert place.patient == Place.of(study_of(HEAD.volume, "QZ-1"), registered()).patient
    assert place.patient != Place.of(study_of(HEAD.volume, "QZ-2"), registered()).patient


@pytest.fixture
def compared(store, scan, tmp_path, in_place, monkeypatch):  # noqa: F811
    """A workshop with one drafted study, and another scan of the same head."""
    monkeypatch.setattr("assistant.page.work.register", lambda volume: registered())
    earlier = tmp_path / "earlier.nii.gz"
    phantom = head(field_mm=110, semi_axes_mm=(6.0, 13.0, 8.0))
    image = nibabel.Nifti1Image(phantom.volume.array, phantom.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(earlier)
    workshop = Workshop(store, phantom_assistant)
    kept, _ = drafted(store, workshop, scan)
    yield workshop, kept, earlier
    workshop.close()


def run(workshop, kept, request):
    job = workshop.begin(kept, request)
    while not job.is_over:
        job.news(len(job.results), 0.1)
    return job


def test_a_prior_is_laid_beside_and_leaves_the_report_as_it_was(store, compared):  # noqa: F811
    workshop, kept, earlier = compared
    before = store.get("ada", kept.id)
    job = run(workshop, kept, Beside(earlier))
    after = store.get("ada", kept.id)
    assert job.state == "drafted"
    assert (after.report, after.state) == (before.report, "drafted")
    folder = store.files(kept.id)
    assert (folder / prior.SCAN).is_file()
    assert np.allclose(prior.read_prior(folder).to_prior, np.eye(4))
    assert store.events(kept.id)[-1].what == "prior_drafted"


def test_a_prior_that_is_refused_leaves_the_study_drafted(store, compared, tmp_path):  # noqa: F811
    workshop, kept, _ = compared
    path = tmp_path / "bad.nii"
    path.write_bytes(b"no scan")
    job = run(workshop, kept, Beside(path))
    assert job.refusal[0] == "unreadable"
    assert store.get("ada", kept.id).state == "drafted"
    assert prior.read_prior(store.files(kept.id)) is None


def test_another_reading_of_the_study_takes_the_prior_away(store, scan, compared):  # noqa: F811
    workshop, kept, earlier = compared
    run(workshop, kept, Beside(earlier))
    run(workshop, kept, Request(scan))
    assert prior.read_prior(store.files(kept.id)) is None


@pytest.fixture
def shown(store, compared, monkeypatch):  # noqa: F811
    """The page's own ways to a study beside which a prior scan lies, and the study's desk."""
    workshop, kept, earlier = compared
    monkeypatch.setattr("assistant.followup.register", lambda volume: registered())
    monkeypatch.setattr("segment.models.repeatability", lambda name: REPEATABILITY)
    still = Alignment(np.eye(4), 0.97, 0.1)
    monkeypatch.setattr("assistant.followup.align", lambda scans, found: still)
    for name, path in ((SOURCE, workshop.job(kept.id).request.source), (prior.SOURCE, earlier)):
        (store.files(kept.id) / name).mkdir()
        shutil.copy(path, store.files(kept.id) / name)
    run(workshop, kept, Beside(earlier))
    parts = SimpleNamespace(store=store, workshop=workshop)
    return Opening(parts, "ada", "en"), Showing(parts, "en"), Desk(store, "ada", kept.id)


def finished(opening, desk):
    job = opening.parts.workshop.job(desk.study)
    while not job.is_over:
        job.news(len(job.results), 0.1)
    return job


def test_a_draft_compared_with_the_prior_is_a_study_of_its_own(shown):
    opening, showing, desk = shown
    before = desk.kept
    made = opening.compared(desk)
    assert finished(opening, made).state == "drafted"
    assert desk.kept == before
    assert RELATIVE in {record.quantity for record in made.report().measurements}
    assert prior.compared(made.report()) == (prior.read_prior(made.folder).sha256,)
    assert showing.shown(made)["change"].startswith("<section")
    assert "<svg" in showing.shown(made)["change"]
    assert [event.what for event in opening.parts.store.events(made.study)] == [
        *("opened", "prior", "drafted"),
    ]


def test_a_comparison_is_offered_until_it_was_made(shown):
    opening, showing, desk = shown
    assert showing.shown(desk)["compare"] is showing.shown(desk)["apart"] is True
    assert "No change was measured" in showing.shown(desk)["change"]
    made = opening.compared(desk)
    finished(opening, made)
    assert showing.shown(made)["compare"] is False
    assert "No change was measured" not in showing.shown(made)["change"]
    prior.forget(desk.folder)
    assert showing.shown(desk)["compare"] is showing.shown(desk)["apart"] is False


def test_a_comparison_that_is_refused_leaves_the_draft_before_it(shown):
    opening, _, desk = shown
    (path,) = (desk.folder / prior.SOURCE).iterdir()
    (source,) = (desk.folder / SOURCE).iterdir()
    shutil.copy(source, path)
    made = opening.compared(desk)
    assert finished(opening, made).refusal[0] == "same-study"
    assert made.kept.state == "failed"
    assert desk.kept.report is not None


def test_without_a_prior_beside_it_a_study_is_compared_with_nothing(shown):
    opening, _, desk = shown
    prior.forget(desk.folder)
    with pytest.raises(UploadError, match="a prior scan beside this study"):
        opening.compared(desk)
    assert len(opening.parts.store.list("ada")) == 1


def test_a_compared_study_is_read_again_with_its_prior(shown):
    opening, _, desk = shown
    made = opening.compared(desk)
    finished(opening, made)
    opening.again(made, "")
    finished(opening, made)
    assert prior.compared(made.report())


def test_a_comparison_is_not_read_again_without_its_prior(shown):
    opening, _, desk = shown
    made = opening.compared(desk)
    finished(opening, made)
    shutil.rmtree(made.folder / prior.SOURCE)
    with pytest.raises(UploadError, match="found it removed"):
        opening.again(made, "")
    assert prior.compared(made.report())


def test_a_copy_that_the_disk_refuses_leaves_no_study(shown, monkeypatch):
    opening, _, desk = shown
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(prior, "carry", lambda *folders: (_ for _ in ()).throw(full))
    with pytest.raises(UploadError, match="expected room"):
        opening.compared(desk)
    assert len(opening.parts.store.list("ada")) == 1


def test_a_series_that_was_refused_is_not_asked_for_again(shown):
    opening, _, desk = shown
    assert finished(opening, opening.again(desk, "2")).refusal[0] == "bad-option"
    opening.again(desk, "")
    assert finished(opening, desk).refusal is None


def test_a_prior_waits_until_its_study_is_done(store, scan, tmp_path):  # noqa: F811
    workshop = Workshop(store, phantom_assistant)
    kept = store.add("ada", "scan", "hippocampus", "en")
    job = workshop.begin(kept, Request(scan))
    with pytest.raises(FullError, match="wait until it is done"):
        workshop.begin(kept, Beside(scan))
    job.cancel()
    workshop.close()
