"""An organ on the user's shelves is found beside the package's own, and hides none of these."""

import tomllib
from importlib.resources import files

import pytest

import prompts
from assistant.cli import OK, main
from segment import models, organs
from segment.adapt.plan import nearest
from segment.masks.seg import table_of
from segment.writing import toml_text


def test_a_structure_that_is_on_the_shelf_is_listed(shelf, capsys):
    place_organ(shelf)
    assert main(["list"]) == OK
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert all("amygdala" in line for line in (first, second, third))


def place_organ(shelf):
    """Put an organ without weights on the shelf."""
    folder = shelf / "amygdala"
    folder.mkdir(parents=True)
    (folder / "organ.toml").write_text(
        'name = "amygdala"\nsides = ["none"]\ncode = "91723000"\n'
        '[centre_mni_mm]\nnone = [0.0, 0.0, 0.0]\n[structures.amygdala]\nlabels = ["amygdala"]\n'
    )
    exam = files("assistant.exams").joinpath("hippocampus.toml").read_text(encoding="utf-8")
    (folder / "exam.toml").write_text(exam.replace('"hippocampus"', '"amygdala"'))
    facts = {
        "name": "unet-amygdala",
        "version": "1",
        "network": "unet",
        "structures": ["background", "amygdala"],
        "weights": "weights.safetensors",
        "calibration": "calibration.json",
        "card": "CARD.md",
    }
    (folder / "model.toml").write_text(toml_text(facts))
    return folder


def test_a_model_on_the_shelf_runs_no_code_of_its_own(shelf):
    file = place_organ(shelf) / "model.toml"
    file.write_text(file.read_text() + 'factory = "os:system"\n')
    with pytest.raises(ValueError, match=r"^model amygdala: the keys \['factory'\]"):
        models.describe("amygdala")


def test_a_model_on_the_shelf_has_a_shipped_network(shelf):
    file = place_organ(shelf) / "model.toml"
    file.write_text(file.read_text().replace('"unet"', '"amygdala"'))
    with pytest.raises(ValueError, match="expected the network of a shipped model"):
        models.describe("amygdala")


@pytest.mark.parametrize("key", models.FILES)
@pytest.mark.parametrize("file", ["/etc/passwd", "../unet/x", "..", "", "a\\b"])
def test_a_model_on_the_shelf_reads_no_file_of_another_folder(key, file, shelf):
    path = place_organ(shelf) / "model.toml"
    facts = {**tomllib.loads(path.read_text()), key: file}
    path.write_text(toml_text(facts))
    with pytest.raises(ValueError, match="expected names of files of its own folder, found"):
        models.describe("amygdala")


def test_a_model_on_the_shelf_is_none_that_an_adaptation_begins_with(shelf):
    (place_organ(shelf) / "weights.safetensors").touch()
    assert models.is_trained("amygdala")
    assert nearest((0.0, 0.0, 0.0)) == "unet"


def test_an_organ_on_the_shelf_takes_no_code_of_a_shipped_one(shelf):
    file = place_organ(shelf) / "organ.toml"
    shown = file.read_text().replace('"amygdala"', '"zona"').replace(".amygdala", ".zona")
    file.write_text(shown.replace("91723000", organs.load("hippocampus").code))
    file.parent.rename(shelf / "zona")
    segment = {"number": 1, "name": "", "code": "5366008", "modifiers": ["7771000"]}
    (label,) = table_of({"segments": [segment]}).labels
    assert (label.structure, label.side) == ("hippocampus", "left")


@pytest.mark.parametrize("code", ['"banana"', '"5366009"', "5366008"])
def test_an_organ_on_the_shelf_has_a_code_of_snomed_ct(code, shelf):
    file = place_organ(shelf) / "organ.toml"
    file.write_text(file.read_text().replace('"91723000"', code))
    with pytest.raises(ValueError, match=r"^organ amygdala: expected a SNOMED CT concept, 6 to 18"):
        organs.load("amygdala")


def test_a_part_on_the_shelf_has_a_modifier_of_snomed_ct(shelf):
    file = place_organ(shelf) / "organ.toml"
    file.write_text(file.read_text() + 'modifier = "front"\n')
    with pytest.raises(ValueError, match=r"^organ amygdala: .* check digit, found 'front'; look"):
        organs.load("amygdala")


def test_what_is_on_the_shelf_hides_nothing_that_is_shipped(shelf):
    place_organ(shelf).rename(shelf / "hippocampus")
    assert organs.load("hippocampus").code == "5366008"
    assert models.describe("unet")["name"] == "unet-hippocampus"
    (shelf / "hippocampus" / "words.en.toml").write_text(
        '[exams]\nhippocampus = "x"\n[structures.hippocampus]\nleft = "y"\n[phrases]\n'
    )
    assert prompts.load("en").structure("hippocampus", "left") == "left hippocampus"


def test_words_on_the_shelf_with_other_tables_are_refused(shelf):
    (place_organ(shelf) / "words.en.toml").write_text('[lexicon]\nhedge = ["x"]\n')
    with pytest.raises(ValueError, match=r"^words\.en\.toml of amygdala: the tables"):
        prompts.load("en")


def test_words_on_the_shelf_that_are_no_toml_are_refused_by_their_name(shelf):
    (place_organ(shelf) / "words.en.toml").write_text("left amygdala")
    with pytest.raises(
        ValueError, match=r"^words\.en\.toml of amygdala: expected TOML, .* off the"
    ):
        prompts.load("en")


@pytest.mark.parametrize("structures", ['structures = "x"', '[structures]\namygdala = "x"'])
def test_words_on_the_shelf_that_are_no_tables_are_refused(structures, shelf):
    text = f"{structures}\n[exams]\n[phrases]\n"
    (place_organ(shelf) / "words.en.toml").write_text(text)
    with pytest.raises(ValueError, match="of amygdala: expected tables of words, found something"):
        prompts.load("en")


def test_parts_of_one_name_have_words_of_the_sides_of_both(shelf):
    sides = {"one": {"none": "front part"}, "two": {"left": "left front", "right": "right front"}}
    for name, words in sides.items():
        (shelf / name).mkdir(parents=True)
        text = f'[exams]\n[phrases]\n[structures."front part"]\n{toml_text(words)}'
        (shelf / name / "words.en.toml").write_text(text)
    spoken = prompts.load("en")
    found = {side: spoken.structure("front part", side) for side in ("none", "left", "right")}
    assert found == {**sides["one"], **sides["two"]}
