"""The tables of a PET say what is withheld and why, in every language with the same words."""

import string

import numpy as np
import pytest

import prompts
from assistant.pet import Placed, Wanted, measure_pet
from assistant.pet_tables import pet_text
from assistant.study import Study
from prompts import pet
from segment.measurement import Reason, Reliability
from segment.pet.grid import uptake_of
from tests.pet_phantom import Sphere, cube, phantom

BALLS = {
    "cut": [Sphere(17.0, (31.0, 0, 0), 4.0)],
    "whole": [Sphere(17.0, (0.6, 0, 0), 4.0)],
}


def findings(volume, **options):
    placed = Placed(Study(volume, "phantom"), uptake_of(volume))
    return measure_pet(placed, Wanted(("share", "fixed"), **options))


def slots(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("language", prompts.languages())
def test_a_language_has_the_keys_and_slots_of_english(language):
    english, other = pet.load("en"), pet.load(language)
    assert {key: slots(text) for key, text in other.items()} == {
        key: slots(text) for key, text in english.items()
    }


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="unknown language"):
        pet.load("xx")


def test_a_lesion_at_the_edge_is_withheld_with_its_reason():
    found = findings(phantom(cube(4.0), hot=BALLS["cut"]))
    reason = prompts.load("en").reasons[Reason.TRUNCATED]
    text = pet_text(found, "en")
    assert text.count(f"| – | – | – | – | – | {reason} |") == 2
    lesions = [record for record in found.records if record.structure == "lesion 1"]
    assert {record.reliability for record in lesions} == {Reliability.NOT_RELIABLE}
    sums = [record for record in found.records if record.structure == "all lesions"]
    assert {record.reason for record in sums} == {Reason.DEPENDS_ON_UNRELIABLE}


def test_a_whole_lesion_stands_alone_without_an_interval():
    found = findings(phantom(cube(4.0), hot=BALLS["whole"]))
    assert {record.reason for record in found.records} == {Reason.NO_INTERVAL}
    assert [record.id for record in found.records] == [f"m{n}" for n in range(1, 15)]
    assert "| all, normal uptake included | – | – | – | – |" in pet_text(found, "en")


@pytest.mark.parametrize(
    ("language", "said"), [("en", "joined at SUV 2.50 only the hottest"), ("zh", "SUV 2.50 处相连")]
)
def test_a_table_says_what_becomes_of_foci_that_hang_together(language, said):
    found = findings(phantom(cube(4.0), hot=BALLS["whole"]))
    assert said in pet_text(found, language)


def test_an_outline_that_leaks_shows_its_maximum_and_its_reason():
    found = findings(phantom(cube(4.0), hot=[Sphere(17.0, (0.6, 0, 0), 3.0)], background=1.5))
    reason = prompts.load("en").reasons[Reason.OUTLINE_LEAKS]
    assert f"| 3.00 | – | – | – | – | {reason} |" in pet_text(found, "en")
    shares = [record for record in found.records if record.method.startswith("41%")]
    unclear = [record for record in shares if record.reason is Reason.OUTLINE_LEAKS]
    assert {record.value for record in unclear} == {None}
    assert [record.quantity for record in shares[:1]] == ["SUVmax"]


def test_the_sum_is_that_of_the_lesions():
    balls = [Sphere(17.0, (-16.0, 0, 0), 4.0), Sphere(13.0, (16.0, 0, 0), 5.0)]
    found = findings(phantom(cube(2.0), hot=balls))
    for outlined in found.outlined:
        total = sum(one.tlg_g for one in outlined.uptakes)
        counted = outlined.lesions.labels > 0
        voxels = found.placed.uptake.suv[counted].sum(dtype=np.float64) * 0.008
        assert total == pytest.approx(voxels)
