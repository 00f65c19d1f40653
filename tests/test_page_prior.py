"""A prior scan is shown beside the current one, linked by place, and nothing is claimed of it."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from assistant.page import prior
from assistant.page.prior import Place, beside
from assistant.page.work import Beside, FullError, Request, Workshop
from assistant.study import Identifiers, Study
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


def test_a_prior_waits_until_its_study_is_done(store, scan, tmp_path):  # noqa: F811
    workshop = Workshop(store, phantom_assistant)
    kept = store.add("ada", "scan", "hippocampus", "en")
    job = workshop.begin(kept, Request(scan))
    with pytest.raises(FullError, match="wait until it is done"):
        workshop.begin(kept, Beside(scan))
    job.cancel()
    workshop.close()
