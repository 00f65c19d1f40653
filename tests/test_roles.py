"""A study holds series of several roles: found, named, chosen, aligned, told and refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import prompts
from assistant import exams, gate
from assistant.cli import OK, REFUSED, main
from assistant.followup import Priors
from assistant.pipeline import Assistant
from assistant.report import report_bytes
from assistant.roles import cast, parsed
from assistant.sequences import KEY, aligned
from assistant.settings import Settings
from assistant.study import Study, read_study
from assistant.verify import verify_report
from segment.errors import Refusal, ScanError
from segment.measurement import Reason
from segment.reading import find_series, list_files
from segment.reading.roles import ASKED, ROLES, role_in, role_of
from segment.register.within import Within, align_within, doubt
from segment.volume import Volume
from tests.hostile.make import dicom_slices, nifti, voxels
from tests.phantoms import grid, world_of
from tests.shared_data import shared_data
from tests.supplied import write
from tests.test_cli import one_sentence, written
from tests.test_lesion_followup import BEFORE, mask_of
from tests.test_lesion_followup import balls as marked

languages = pytest.mark.parametrize("language", prompts.languages())
SPIN = {"ScanningSequence": "SE", "EchoTime": 90, "RepetitionTime": 4000}
INVERTED = {"ScanningSequence": ["SE", "IR"], "EchoTime": 100, "RepetitionTime": 9000}
GRADIENT = {"ScanningSequence": ["GR", "IR"], "EchoTime": 3, "InversionTime": 900}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("sub-01_ses-1_T1w.nii.gz", "T1"),
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T1c"),
        ("sub-01_FLAIR.nii.gz", "FLAIR"),
        ("sub-01_T2w.nii", "T2"),
        ("sub-01_ct.nii.gz", "CT"),
        ("sub-01_pet.nii.gz", "PET"),
        ("t1post.nii.gz", "T1c"),
        ("Ax T2 FLAIR", "FLAIR"),
        ("t2_tirm_dark-fluid", "FLAIR"),
        ("Sag T1 +C", "T1c"),
        ("T1 pre contrast", "T1"),
        ("T1 post op", "T1"),
        ("flair_t1.nii.gz", None),  # the first date of a pair, or a T1: nobody can tell
        ("T2*_gre", None),
        ("t2_star", None),
        ("flair_mask.nii.gz", None),
        ("gold_standard.nii.gz", None),
        ("contrast.nii.gz", None),
        ("t12.nii.gz", None),
        ("impact.nii.gz", None),
    ],
)
def test_a_name_states_a_role_or_none(name, role):
    assert role_in(name) == role


@pytest.mark.parametrize(
    ("tags", "role"),
    [
        (GRADIENT, "T1"),
        ({**GRADIENT, "ContrastBolusAgent": "Gadovist"}, "T1c"),
        ({**GRADIENT, "ContrastBolusAgent": "NONE"}, "T1"),
        ({**GRADIENT, "SeriesDescription": "t1 post gd"}, "T1c"),
        ({**GRADIENT, "SeriesDescription": "t2_tse"}, None),
        (SPIN, "T2"),
        ({**SPIN, "SeriesDescription": "t2_tse_tra"}, "T2"),
        ({**SPIN, "EchoTime": 69}, None),
        ({**INVERTED, "InversionTime": 2500}, "FLAIR"),
        ({**INVERTED, "InversionTime": 160}, None),
        ({"ScanningSequence": "EP", "EchoTime": 90, "RepetitionTime": 4000}, None),
        ({**SPIN, "SeriesDescription": "ep2d_dwi"}, None),
        ({"SeriesDescription": "AX T1 MPRAGE"}, "T1"),
        ({"ProtocolName": "AX FLAIR"}, "FLAIR"),
        ({"SeriesDescription": "Quetzal"}, None),
        ({"Modality": "CT", "ContrastBolusAgent": "APPLIED"}, "CT"),
        ({"Modality": "PT"}, "PET"),
        ({**GRADIENT, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, None),
    ],
)
def test_timing_and_words_of_a_header_state_a_role_where_they_agree(tags, role, tmp_path):
    (series,) = find_series(list_files(dicom_slices(tmp_path / "study", **tags)), asked=ASKED)
    assert role_of(series) == role


def test_words_of_a_header_leave_it_in_no_study(tmp_path):
    tags = {"SeriesDescription": "Quetzal T1", "ProtocolName": "Quetzal"}
    study = read_study(dicom_slices(tmp_path / "study", **tags), measures=("T1",))
    assert study.role == "T1"
    assert "Quetzal" not in repr(study)
    assert "Quetzal" not in str(study.volume.facts)


def folder_of(tmp_path, *names):
    """Write a folder of NIfTI files, each of other voxels."""
    folder = tmp_path / "study"
    folder.mkdir()
    for number, name in enumerate(names):
        nifti(folder, name, array=voxels() + np.int16(number))
    return folder


def test_the_first_role_that_is_measured_is_read_and_the_others_stand_beside_it(tmp_path):
    folder = folder_of(tmp_path, "flair.nii", "mask.nii", "t1.nii", "t2.nii")
    study = read_study(folder, measures=("T1c", "T1"))
    assert (study.role, [*study.others]) == ("T1", ["T2", "FLAIR"])
    assert np.array_equal(study.volume.array, read_study(folder / "t1.nii").volume.array)
    assert read_study(folder, measures=("FLAIR",)).role == "FLAIR"


def test_whoever_asks_for_no_role_chooses_a_series_as_before(tmp_path):
    folder = folder_of(tmp_path, "flair.nii", "t1.nii")
    with pytest.raises(ScanError, match="expected one scan, found 2") as refusal:
        read_study(folder)
    assert refusal.value.code is Refusal.SEVERAL_SERIES
    study = read_study(folder, series="2", measures=("FLAIR",))
    assert (study.role, [*study.others]) == ("T1", [])


def test_series_of_one_examination_stand_beside_the_measured_one_and_no_other(tmp_path):
    folder = dicom_slices(tmp_path / "study", series=1, **GRADIENT)
    dicom_slices(folder, series=2, **SPIN)
    dicom_slices(folder, series=3, StudyInstanceUID="1.2.3", **{**INVERTED, "InversionTime": 2500})
    study = read_study(folder, measures=("T1",))
    assert (study.role, [*study.others]) == ("T1", ["T2"])


def test_files_of_one_folder_stand_beside_the_measured_one_and_no_other(tmp_path):
    folder = folder_of(tmp_path, "t1.nii", "t2.nii")
    (folder / "later").mkdir()
    nifti(folder / "later", "flair.nii", array=voxels() + np.int16(9))
    assert [*read_study(folder, measures=("T1",)).others] == ["T2"]
    named = read_study(folder, measures=("T1",), roles={"FLAIR": "3"})
    assert [*named.others] == ["T2", "FLAIR"]


def test_a_series_that_nobody_named_and_cannot_be_read_is_left_out(tmp_path):
    folder = dicom_slices(tmp_path / "study", series=1, **GRADIENT)
    dicom_slices(folder, series=2, positions=[0, 1, 9, 10], **SPIN)
    dicom_slices(folder, series=3, count=1, **{**INVERTED, "InversionTime": 2500})
    assert "FLAIR" not in read_study(folder, measures=("T1",)).others
    with pytest.raises(ScanError):
        read_study(folder, measures=("T1",), roles={"FLAIR": "3"})


def test_a_role_that_somebody_names_goes_before_what_is_found(tmp_path):
    folder = folder_of(tmp_path, "a.nii", "b.nii", "t1.nii")
    study = read_study(folder, measures=("T1",), roles={"T1": "2", "T2": "1"})
    assert (study.role, [*study.others]) == ("T1", ["T2"])
    assert np.array_equal(study.volume.array, read_study(folder / "b.nii").volume.array)


def test_a_file_of_another_role_is_read_beside_the_study(tmp_path):
    folder = folder_of(tmp_path, "a.nii", "b.nii", "flair.nii")
    roles = {"T1": str(folder / "a.nii"), "T2": str(folder / "b.nii")}
    study = read_study(folder / "a.nii", measures=("T1",), roles=roles)
    assert (study.role, [*study.others]) == ("T1", ["T2"])


def test_a_file_that_is_measured_is_put_before_the_study(tmp_path):
    folder = folder_of(tmp_path, "a.nii", "flair.nii")
    roles = {"T1": str(folder / "a.nii")}
    study = read_study(folder / "flair.nii", measures=("T1",), roles=roles)
    assert (study.name, study.role, [*study.others]) == ("a.nii", "T1", ["FLAIR"])


@pytest.mark.parametrize(
    ("names", "asked", "code", "words"),
    [
        (("t1.nii", "x_t1.nii"), {}, Refusal.SEVERAL_SERIES, "expected one T1, found 2"),
        (("flair.nii", "t2.nii"), {}, Refusal.NO_ROLE, "expected the T1 that is measured"),
        (("t1.nii", "a.nii"), {"T2": "5"}, Refusal.BAD_OPTION, "found 1, 2"),
        (("a.nii", "b.nii"), {"T1": "1", "T2": "1"}, Refusal.BAD_OPTION, "one in several"),
        (("t1.nii", "a.nii"), {"T2": "t1.nii"}, Refusal.SAME_STUDY, "one scan in two"),
        (("t1.nii", "a.nii"), {"T1": "a.nii"}, Refusal.SEVERAL_SERIES, "one scan"),
    ],
)
def test_roles_that_cannot_be_are_refused_in_a_sentence(names, asked, code, words, tmp_path):
    folder = folder_of(tmp_path, *names)
    roles = {r: what if what.isdecimal() else str(folder / what) for r, what in asked.items()}
    with pytest.raises(ScanError, match=words) as refusal:
        read_study(folder, measures=("T1",), roles=roles)
    assert refusal.value.code is code


def test_a_series_of_another_patient_is_refused(tmp_path):
    one = dicom_slices(tmp_path / "one", **GRADIENT)
    two = dicom_slices(tmp_path / "two", PatientID="QZ-2", **SPIN)
    with pytest.raises(ScanError, match="another patient") as refusal:
        read_study(one, measures=("T1",), roles={"T2": str(two)})
    assert refusal.value.code is Refusal.OTHER_PATIENT


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["T3=1"], "found 'T3=1'"),
        (["T1"], "found 'T1'"),
        (["T1="], "found 'T1='"),
        (["T1=1", "T1=2"], "found T1 twice"),
    ],
)
def test_an_option_that_names_no_role_is_refused(texts, words):
    with pytest.raises(ScanError, match=words) as refusal:
        parsed(texts)
    assert refusal.value.code is Refusal.BAD_OPTION


def test_a_role_that_two_series_seem_to_play_stands_beside_nothing():
    made = cast({"1": "T1", "2": "T2", "3": "T2", "4": None}, {}, ("T1",), "study")
    assert (made.measured, made.beside) == ("1", {})


def test_a_scan_that_is_known_to_be_of_another_role_is_refused():
    hippocampus = exams.load("hippocampus")
    gate.check_role(None, hippocampus)
    gate.check_role("T1c", hippocampus)
    with pytest.raises(ScanError, match=r"expected T1 or T1c .*, found FLAIR") as refusal:
        gate.check_role("FLAIR", hippocampus)
    assert refusal.value.code is Refusal.NO_ROLE


def tissue(places):
    """Return a head of smooth blobs: a value for each place in mm, between 0 and 1."""
    rng = np.random.default_rng(5)
    centres, widths = rng.uniform(-28, 28, (40, 3)), rng.uniform(5, 10, 40)
    field = sum(
        weight * np.exp(-((places - centre) ** 2).sum(-1) / (2 * width**2))
        for centre, width, weight in zip(centres, widths, rng.uniform(0.3, 1, 40), strict=True)
    )
    inside = (places**2).sum(-1) < 45**2
    return np.where(inside, 0.2 + 0.8 * field / field.max(), 0.0)


GRID = grid((2.0, 2.0, 2.0), field_mm=110)


def picture(contrast, digest, moved=None):
    """Take a picture of the tissue in a contrast, where the head has been moved."""
    moved = np.eye(4) if moved is None else moved
    back = np.linalg.inv(moved)
    places = world_of(GRID) @ back[:3, :3].T + back[:3, 3]
    array = np.asarray(gaussian_filter(contrast(tissue(places)), 0.5), np.float32)
    return Volume(array, GRID, sha256=digest * 64, modality="MR")


def plain(values):
    return 900 * values


def inverted(values):
    return np.where(values > 0, 100 + 500 * (1 - values) ** 2, 0)


def moved_by(degrees, shift_mm):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


@pytest.mark.parametrize(
    "moved", [np.eye(4), moved_by((4, -3, 6), (3, -4, 2)), moved_by((2, 1, 0), (60, 45, -50))]
)
def test_series_of_other_contrasts_are_aligned_to_a_millimetre(moved):
    other = picture(inverted, "b", moved) if moved[0, 3] < 50 else elsewhere(moved)
    within = align_within(picture(plain, "a"), other)
    points = np.array([[x, y, z, 1.0] for x in (-30, 30) for y in (-30, 30) for z in (-30, 30)])
    apart = np.linalg.norm((points @ (within.matrix - moved).T)[:, :3], axis=1)
    assert apart.max() < 1.0
    assert doubt(within) is None


def elsewhere(moved):
    """Take a picture on a grid that goes with the head: two series without common coordinates."""
    turned = moved.copy()
    turned[:3, 3] = 0
    still = picture(inverted, "b", turned)
    affine = still.geometry.affine.copy()
    affine[:3, 3] += moved[:3, 3]
    return replace(still, geometry=replace(still.geometry, affine=affine))


def noise(digest="c"):
    array = gaussian_filter(np.random.default_rng(1).normal(size=GRID.shape), 2)
    return Volume(array.astype(np.float32), GRID, sha256=digest * 64, modality="MR")


def test_what_tells_nothing_of_the_measured_series_is_not_aligned_with_it():
    assert doubt(align_within(picture(plain, "a"), noise())) is Reason.NOT_ALIGNED


@pytest.mark.parametrize(
    "changed", [{"information": 0.01}, {"inside": 0.2}, {"disagreement_mm": 5.0}]
)
def test_each_measure_of_an_alignment_can_put_it_in_doubt(changed):
    good = Within(np.eye(4), 0.3, 1.0, 0.2)
    assert doubt(good) is None
    assert doubt(replace(good, **changed)) is Reason.NOT_ALIGNED


def study_of(role, **others):
    lesions = mask_of(marked({(0, 0, 0): 6.0}, GRID), "d" * 64, GRID)
    return Study(picture(plain, "a"), "now.nii", mask=lesions, role=role, others=others)


def drafted(study, language="en"):
    settings = Settings(exam="follow-up", language=language, reader="none")
    return Assistant.from_settings(settings)(study)


def said(report):
    """Return what the technique says of roles, by the keys of its sentences."""
    keys = {text: key for key, text in prompts.load(report.language).phrases.items()}
    of_roles = (keys.get(line.text, "") for line in report.lines if line.section == "technique")
    return [key.removeprefix("technique.role.") for key in of_roles if ".role." in key]


@languages
def test_the_report_lists_what_stands_beside_the_measured_series(language):
    report = drafted(study_of("FLAIR", T1=picture(inverted, "b"), T2=noise()), language)
    assert said(report) == ["measured.FLAIR", "beside.T1", "apart.T2", "missing.T1c"]
    told = report.provenance["sequences"]
    assert (told["measured"], told["missing"]) == ("FLAIR", ["T1c"])
    assert [(row["role"], row["aligned"]) for row in told["beside"]] == [
        ("T1", "yes"),
        ("T2", "no"),
    ]
    assert verify_report(json.loads(report_bytes(report))) == ()


@pytest.mark.parametrize(("role", "expected"), [(None, []), ("T1c", [])])
def test_of_one_series_that_is_unknown_or_all_that_is_missed_nothing_is_said(role, expected):
    report = drafted(study_of(role))
    assert said(report) == expected
    assert "sequences" not in report.provenance


def test_each_role_has_its_sentences_in_every_language():
    for language in prompts.languages():
        phrases = prompts.load(language).phrases
        for role in ROLES:
            for about in ("measured", "beside", "apart", "missing"):
                assert "{" not in phrases[KEY.format(said=about, role=role)]


def test_a_prior_of_another_weighting_is_refused():
    now = replace(study_of("FLAIR"), volume=picture(plain, "a"))
    with pytest.raises(ScanError, match="expected FLAIR as the study is, found T2") as refusal:
        Priors(now, (Study(picture(plain, "b"), "before.nii", role="T2"),))
    assert refusal.value.code is Refusal.NO_ROLE
    assert Priors(now, (Study(picture(plain, "b"), "before.nii", role=None),)).studies


def test_the_command_line_measures_the_role_of_the_exam(tmp_path, capsys):
    flair = written(picture(plain, "a"), tmp_path / "now_flair.nii")
    other = written(picture(inverted, "b"), tmp_path / "b.nii")
    drawn = write(tmp_path / "mask.nii.gz", marked(BEFORE, GRID).astype(np.uint8), GRID.affine)
    common = ["--exam", "follow-up", "--segmentation", drawn, "-o", tmp_path / "out"]
    command = ["draft", flair, "--role", f"T1c={other}", *common]
    assert main([str(part) for part in command]) == OK
    assert (
        prompts.load("en").phrases[KEY.format(said="beside", role="T1c")] in capsys.readouterr().out
    )
    made = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [row["role"] for row in made["provenance"]["sequences"]["beside"]] == ["T1c"]
    command = ["draft", flair, "--role", f"T9={other}", *common]
    assert main([str(part) for part in command]) == REFUSED
    assert "NAME one of T1, T1c" in one_sentence(capsys)


@pytest.mark.parametrize("patient", ["patient07", "patient26"])
def test_the_series_of_a_real_patient_are_told_apart_by_their_names(patient):
    study = read_study(shared_data("ms_crosssectional", patient), measures=("FLAIR",))
    assert (study.role, [*study.others]) == ("FLAIR", ["T1", "T1c", "T2"])


@pytest.mark.parametrize(
    ("folder", "role"),
    [
        ("mr_t1_whole_head_120slices", "T1"),  # with contrast, which its header does not say
        ("mr_t1_one_person_two_positions/supine", "T1"),
        ("mr_diffusion_mosaic", None),
        ("mr_enhanced_multiframe_five_volumes", None),
        ("ct_jpeg2000_20slices", "CT"),
    ],
)
def test_real_headers_state_their_roles(folder, role):
    (series,) = find_series(list_files(shared_data("dicom", *folder.split("/"))), asked=ASKED)
    assert role_of(series) == role


@pytest.mark.slow
def test_the_series_of_a_real_patient_are_aligned_where_they_already_lie():
    study = read_study(shared_data("ms_crosssectional", "patient07"), measures=("FLAIR",))
    for one in aligned(study):
        corners = np.array([[x, y, z, 1] for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)])
        apart = np.linalg.norm((corners @ (one.within.matrix - np.eye(4)).T)[:, :3], axis=1)
        assert one.doubt is None
        assert apart.max() < 1.5
