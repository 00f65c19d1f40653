"""The reader's training: pairs by subject, one that can be interrupted, and what it ships."""

from dataclasses import fields, replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from assistant.readers import siglip
from assistant.readers.siglip import tower, weights
from assistant.readers.siglip.evaluate import (
    HeldOut,
    Row,
    auroc,
    balanced_accuracy,
    ece,
    figures,
    read_rows,
    write_rows,
)
from assistant.readers.siglip.facts import (
    ARTEFACTS,
    FACTS,
    KINDS,
    NONE,
    PARTS,
    PLANES,
    UNKNOWN,
    place_of,
)
from assistant.readers.siglip.heads import QUALITY, fit_heads, fit_temperature, probabilities
from assistant.readers.siglip.pairs import (
    WEATHER,
    Captions,
    Corpus,
    draw_combinations,
    draw_pair,
    held_out_part,
    moved,
    training_part,
    weathered,
)
from assistant.readers.siglip.plan import Progress, TrainingPlan, plan_runs
from assistant.readers.siglip.sources import NEVER, Label, Source, load_sources, samples
from assistant.readers.siglip.train import train_on
from tests.phantoms import grid
from tests.shared_data import shared_data
from tests.test_reader_slices import balls

pytestmark = pytest.mark.slow  # whole trainings at toy size

PLAN = TrainingPlan(
    seed=0,
    slices=2,
    image=192,
    patch=32,
    width=12,
    layers=1,
    heads=2,
    text_layers=1,
    batch=6,
    steps=3,
    folds=2,
    fold_steps=2,
    warmup_steps=1,
    learning_rate=1e-3,
    weight_decay=0.0,
    guide_weight=1.0,
    checkpoint_every_steps=1,
    report_every_steps=1,
    weakest=0.5,
    strongest=1.0,
    head_pictures=48,
    head_penalty=1e-3,
    held_out_pictures=48,
)
SHIPPED = files(siglip).joinpath("train.toml")


def corpus_of(subjects=4, seed=0):
    """Pictures whose plane shows: bars that lie, stand or are aslant; parts by their brightness."""
    rng, pixels, labels = np.random.default_rng(seed), [], []
    rows, columns = np.mgrid[:192, :192]
    bars = {"axial": rows, "coronal": columns, "sagittal": rows + columns}
    for subject in range(subjects):
        for kind, part in (("mr_t1", "head"), ("ct", "trunk")):
            for plane in PLANES:
                picture = 100 + 80 * np.sin(bars[plane] / 6.0 + subject)
                picture = np.where(rows < (150 if kind == "ct" else 60), picture, 20)
                pixels.append((picture + rng.normal(0, 2, picture.shape)).clip(0, 255))
                labels.append(Label(kind, part, plane, f"subject {subject}", subject % 2))
    native = np.ones((len(pixels), 2), np.float32)
    return Corpus(np.stack(pixels).astype(np.uint8), native, tuple(labels))


@pytest.fixture(scope="module")
def corpus():
    return corpus_of()


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """One finished, uninterrupted training."""
    output = tmp_path_factory.mktemp("reader")
    return output, run_all(PLAN, corpus, output)


def run_all(plan, corpus, output):
    threads = torch.get_num_threads()
    try:
        return list(train_on(plan, corpus, output))
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def reader(trained):
    return siglip.load(trained[0] / "shipped" / "weights.safetensors")


def test_the_shipped_plan_is_read_whole():
    shape = TrainingPlan.read(SHIPPED).shape
    assert (shape.image, shape.patch, shape.width, shape.layers) == (192, 24, 192, 6)


@pytest.mark.parametrize("key", [field.name for field in fields(TrainingPlan)])
def test_a_plan_without_a_key_is_refused_by_its_name(key, tmp_path):
    text = SHIPPED.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.partition(" ")[0] != key]
    path = tmp_path / "plan.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"plan.toml: the keys \['{key}'\] are missing"):
        TrainingPlan.read(path)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"weakest": 0.0}, {"strongest": 1.2}])
def test_a_plan_that_cannot_be_judged_is_refused(wrong):
    with pytest.raises(ValueError, match="two folds or more"):
        replace(PLAN, **wrong)


def test_every_run_has_a_seed_of_its_own_and_the_first_is_shipped():
    runs = plan_runs(replace(PLAN, folds=3))
    assert [run.held_out for run in runs] == [None, 0, 1, 2]
    assert len({run.seed for run in runs}) == 4


def test_the_sources_are_read_and_every_kind_is_among_them():
    sources = load_sources()
    assert {source.kind for source in sources} == set(KINDS)
    assert {source.part for source in sources} == set(PARTS)


def test_a_subject_is_in_one_fold_only():
    folds = {}
    for source in load_sources():
        folds.setdefault(source.subject, set()).add(source.fold)
    assert [subject for subject, found in folds.items() if len(found) > 1] == []


@pytest.mark.parametrize(
    "wrong", [{"kind": "mr_t3"}, {"part": "knee"}, {"read": "guess"}, {"root": "web"}]
)
def test_a_source_of_unknown_values_is_refused(wrong):
    known = {"root": "data", "path": "x", "read": "volume", "kind": "ct", "part": "head"}
    with pytest.raises(ValueError, match="source x: "):
        Source(**{**known, **wrong}, subject="x", fold=0)


def test_absent_data_are_named_without_the_folder_above_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected ct_body/ct\.nii\.gz in the data folder"
    ) as e:
        list(samples(next(s for s in load_sources() if s.part == "trunk"), tmp_path, 2, 2))
    assert str(tmp_path) not in str(e.value)


@pytest.mark.parametrize(
    ("part", "kind", "planes"),
    [
        ("head", "mr_epi", set(PLANES)),
        ("head", "mr_diffusion", set(PLANES)),
        ("phantom", "mr_epi", {NONE}),
        ("trunk", "ct", set(PLANES)),
    ],
)
def test_real_sources_become_pictures(part, kind, planes):
    data = shared_data("README.md").parent
    source = next(s for s in load_sources() if (s.part, s.kind) == (part, kind))
    source = replace(source, skip=max(source.skip, 12)) if source.read == "mosaic" else source
    found = list(samples(source, data, 2, 2))
    assert {sample.label.plane for sample in found} == planes
    assert all(0.02 < sample.picture.pixels.mean() < 0.9 for sample in found)


def test_a_mosaic_runs_from_the_feet_to_the_head():
    data = shared_data("README.md").parent
    source = next(s for s in load_sources() if s.subject == "epi mosaic")
    axial = [s.picture for s in samples(source, data, 2, 6) if s.label.plane == "axial"]
    heights = [picture.position_mm for picture in axial]
    widths = [(picture.pixels > 0.3).any(axis=0).sum() for picture in axial]
    assert heights == sorted(heights)
    assert widths[-1] < max(widths)  # the vertex is narrower than the middle of the head


def test_both_sides_of_a_hippocampus_subject_fall_together():
    data = shared_data("hippocampus", "split.json").parents[1]
    source = replace(
        next(s for s in load_sources() if s.read == "numbered"),
        path="hippocampus/images/hippocampus_00*.nii.gz",
    )
    folds, validation = {}, {}
    for sample in samples(source, data, 2, 1):
        folds.setdefault(sample.label.subject, set()).add(sample.label.fold)
        validation.setdefault(sample.label.subject, set()).add(sample.label.is_validation)
    assert len(folds) > 2
    assert all(len(found) == 1 for found in (*folds.values(), *validation.values()))


def test_training_and_held_out_share_no_subject(corpus):
    for fold in (0, 1):
        inside = {label.subject for label in training_part(corpus, fold).labels}
        outside = {label.subject for label in held_out_part(corpus, fold).labels}
        assert inside
        assert outside
        assert not inside & outside


def test_validation_subjects_are_in_no_training(corpus):
    marked = tuple(replace(x, is_validation=x.subject == "subject 3") for x in corpus.labels)
    kept = training_part(replace(corpus, labels=marked), None)
    assert {label.subject for label in kept.labels} == {"subject 0", "subject 1", "subject 2"}


def test_what_is_never_held_out_is_in_every_training(corpus):
    always = replace(corpus, labels=tuple(replace(label, fold=NEVER) for label in corpus.labels))
    assert len(training_part(always, 0).labels) == len(corpus.labels)
    assert len(training_part(always, None).labels) == len(corpus.labels)


def test_a_corpus_is_read_back(corpus, tmp_path):
    corpus.save(tmp_path / "corpus.npz")
    found = Corpus.read(tmp_path / "corpus.npz")
    assert found.labels == corpus.labels
    assert np.array_equal(found.pixels, corpus.pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.npz"]


def test_captions_hold_words_for_every_value_of_every_fact():
    words = Captions.load().words
    assert words["kind"].keys() == set(KINDS)
    assert words["part"].keys() == set(PARTS)
    assert words["plane"].keys() == {*PLANES, NONE}
    assert words["artefacts"].keys() == {*ARTEFACTS, NONE}


def test_no_two_values_of_a_fact_share_a_word():
    for values in Captions.load().words.values():
        every = [word for words in values.values() for word in words if word]
        assert len(every) == len(set(every))


def test_a_combination_is_said_in_many_ways_and_fits_the_context():
    captions, rng = Captions.load(), np.random.default_rng(0)
    said = {
        captions.draw(("mr_t1_contrast", "hippocampus", "sagittal", "bias_field"), rng)
        for _ in range(200)
    }
    assert len(said) > 50
    assert max(int((row != 0).sum()) for row in tower.tokens(sorted(said))) < tower.CONTEXT
    assert all("  " not in text and " ," not in text and "{" not in text for text in said)


def test_a_picture_without_a_plane_is_said_without_one():
    said = Captions.load().every("part", "phantom", np.random.default_rng(0), 20)
    assert all(any(w in text for w in ("phantom", "bottle", "test object")) for text in said)


def test_a_batch_holds_every_combination_once(corpus):
    drawn = draw_combinations(corpus, 20, np.random.default_rng(0))
    assert len(set(drawn)) == 20


def test_more_pictures_than_there_are_combinations_are_refused(corpus):
    with pytest.raises(ValueError, match="a batch of at most 30 different pictures, found 31"):
        draw_combinations(corpus, 31, np.random.default_rng(0))


def test_a_pair_shows_what_was_drawn(corpus):
    rng = np.random.default_rng(0)
    pair = draw_pair(corpus, ("ct", "trunk", "axial", "noise"), Captions.load(), (0.5, 0.6), rng)
    assert (pair.label.kind, pair.label.plane, pair.artefact) == ("ct", "axial", "noise")
    assert 0.5 <= pair.strength <= 0.6
    assert (pair.grey.min(), pair.grey.max()) == (0.0, 1.0)


def test_a_pair_is_the_same_for_the_same_seed(corpus):
    one, same, other = (
        draw_pair(
            corpus,
            ("mr_t1", "head", "axial", "motion"),
            Captions.load(),
            (0.5, 1.0),
            np.random.default_rng(seed),
        )
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.grey, same.grey)
    assert one.caption == same.caption
    assert not np.array_equal(one.grey, other.grey)


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_never_mirrors_a_picture(seed):
    picture = np.zeros((192, 192), np.float32)
    picture[40:152, 40:152] = 0.4
    picture[50:70, 50:70] = 1.0
    found = moved(picture, np.random.default_rng(seed))
    rows, columns = np.nonzero(found > 0.7)
    assert rows.mean() < 92
    assert columns.mean() < 92


def test_the_weather_of_a_picture_is_weaker_than_any_fault_that_is_called_one():
    plan = TrainingPlan.read(SHIPPED)
    assert max(most for _, most in WEATHER.values()) < plan.weakest
    picture = moved(np.pad(np.full((96, 96), 0.5, np.float32), 48), np.random.default_rng(0))
    found = [weathered(picture, np.random.default_rng(seed)) for seed in range(8)]
    changed = [not np.array_equal(one, picture) for one in found]
    assert 0 < sum(changed) < len(changed)  # some have none of it
    assert all(one.min() >= 0 and one.max() < 1 and one.dtype == np.float32 for one in found)


def test_a_vision_tower_is_siglips():
    shape = tower.Shape(image=64, patch=16, width=24, layers=2, heads=2, text_layers=1)
    trunk = tower.build_vision(shape).get_submodule("trunk")
    assert trunk.cls_token is None
    assert type(trunk.attn_pool).__name__ == "AttentionPoolLatent"
    assert trunk.norm.eps == 1e-6
    assert tuple(trunk.pos_embed.shape) == (1, 16, 24)
    x = torch.linspace(-3, 3, 31)
    for block in (trunk.blocks[0].mlp, trunk.attn_pool.mlp):
        assert torch.allclose(block.act(x), torch.nn.functional.gelu(x, approximate="tanh"))


def test_the_vision_tower_alone_is_the_dual_encoders():
    shape = tower.Shape(image=64, patch=16, width=24, layers=2, heads=2, text_layers=1)
    torch.manual_seed(0)
    dual = tower.build_dual(shape).eval()
    alone = tower.build_vision(shape).eval()
    tower.load_state(alone, tower.state_of(dual.visual))
    images = tower.as_input(np.random.default_rng(0).random((2, 64, 64), np.float32))
    with torch.inference_mode():
        assert torch.equal(dual.encode_image(images, normalize=True), tower.pooled(alone, images))


def test_weights_of_another_tower_are_refused():
    small, large = (tower.build_vision(tower.Shape(64, 16, width, 1, 2, 1)) for width in (12, 24))
    with pytest.raises(ValueError, match="another architecture"):
        tower.load_state(small, tower.state_of(large))


def test_a_shape_of_broken_patches_is_refused():
    with pytest.raises(ValueError, match="whole patches"):
        tower.Shape(image=65, patch=16, width=24, layers=1, heads=2, text_layers=1)


def test_grey_becomes_three_channels_between_minus_1_and_1():
    found = tower.as_input(np.array([[[0.0, 0.5, 1.0]]], np.float32))
    assert found.shape == (1, 3, 1, 3)
    assert found[0, 2, 0].tolist() == [-1.0, 0.0, 1.0]


def test_a_training_reports_every_stage(trained):
    _, progress = trained
    assert all(isinstance(step, Progress) for step in progress)
    assert [p.stage for p in progress if p.run == "fold0"][:2] == ["contrastive"] * 2
    assert {p.stage for p in progress if p.run == "shipped"} == {"contrastive", "heads"}
    assert [p.done for p in progress if (p.run, p.stage) == ("shipped", "contrastive")] == [1, 2, 3]


def test_a_training_that_was_interrupted_ends_with_the_same_weights(trained, corpus, tmp_path):
    threads = torch.get_num_threads()
    interrupted = train_on(PLAN, corpus, tmp_path)
    next(interrupted)
    interrupted.close()
    torch.set_num_threads(threads)
    run_all(PLAN, corpus, tmp_path)
    for name in ("fold0/tower.safetensors", "shipped/weights.safetensors"):
        one, other = (load_file(folder / name) for folder in (trained[0], tmp_path))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    logs = [(folder / "fold0" / "log.csv").read_text() for folder in (trained[0], tmp_path)]
    assert logs[0] == logs[1]


def test_a_finished_training_is_left_alone(trained, corpus):
    before = (trained[0] / "fold0" / "tower.safetensors").stat().st_mtime_ns
    assert run_all(PLAN, corpus, trained[0]) == []
    assert (trained[0] / "fold0" / "tower.safetensors").stat().st_mtime_ns == before


def test_what_is_shipped_has_no_text_tower_and_a_tower_of_half_precision(trained):
    path = trained[0] / "shipped" / "weights.safetensors"
    with safe_open(path, "pt") as stored:
        kinds = {key.partition(".")[0]: stored.get_tensor(key).dtype for key in stored.keys()}  # noqa: SIM118
    assert kinds.keys() == {"tower", "head", "temperature", "zero_shot"}
    assert kinds["tower"] == torch.float16


def test_other_tensors_are_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: expected the packed weights"):
        weights.read(tmp_path / "other.safetensors")


def test_held_out_pictures_are_of_the_held_out_subjects(trained):
    rows = read_rows(trained[0] / "fold1" / "held_out.csv")
    assert {row.subject for row in rows} == {"subject 1", "subject 3"}
    assert {row.fold for row in rows} == {1}


def test_a_reader_scores_every_finding_of_a_volume(reader):
    scores = reader(balls(grid((3.0, 3.0, 3.0), field_mm=120.0)))
    wanted = {f"{fact}.{value}" for fact, values in FACTS.items() for value in values}
    wanted |= {f"{QUALITY}.{artefact}" for artefact in ARTEFACTS}
    assert {score.finding for score in scores} == wanted
    assert len({score.id for score in scores}) == len(scores)
    assert all(score.is_calibrated and score.reader == "weights" for score in scores)


@pytest.mark.parametrize("fact", ["kind", "part"])
def test_the_values_of_a_fact_share_one_probability(reader, fact):
    scores = reader(balls(grid((3.0, 3.0, 3.0), field_mm=120.0)))
    mine = [score.probability for score in scores if score.finding.startswith(f"{fact}.")]
    assert sum(mine) == pytest.approx(1, abs=1e-5)


def test_a_reader_says_the_same_twice(reader):
    volume = balls(grid((3.0, 3.0, 3.0), field_mm=120.0))
    assert reader(volume) == reader(volume)


def test_heads_separate_what_can_be_separated():
    features = torch.nn.functional.one_hot(torch.arange(60) % 3, 8).float()
    targets = {fact: torch.arange(60) % 3 for fact in FACTS}
    targets["plane"][:10] = -1
    targets[QUALITY] = torch.nn.functional.one_hot(torch.arange(60) % 3, 5)
    heads = fit_heads(features + 0.1, targets, 1e-3)
    for fact in FACTS:
        assert torch.equal(heads[fact](features + 0.1).argmax(dim=1), torch.arange(60) % 3)
    assert torch.equal(heads[QUALITY](features + 0.1)[:, :3].argmax(dim=1), torch.arange(60) % 3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 4)).astype(np.float32)
    drawn = rng.gumbel(size=logits.shape)  # the largest of logits and these is drawn by softmax
    truth = (logits + drawn).argmax(axis=1)
    assert fit_temperature(logits * temperature, truth) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_of_a_yes_or_no_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 1)).astype(np.float32)
    truth = (rng.random(20000) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.int64)
    assert fit_temperature(logits * 2, truth) == pytest.approx(2, rel=0.05)


def test_no_pictures_give_no_temperature():
    with pytest.raises(ValueError, match="needs pictures of subjects"):
        fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))


def test_probabilities_of_facts_share_one_and_those_of_faults_do_not():
    logits = np.zeros((1, 3), np.float32)
    one = np.ones(1, np.float32)
    assert probabilities("plane", logits, one)[0] == pytest.approx([1 / 3] * 3)
    assert probabilities(QUALITY, logits, one)[0] == pytest.approx([0.5] * 3)


def test_balanced_accuracy_weighs_every_value_alike():
    truth, read = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert balanced_accuracy(truth, read, np.ones(4)) == 0.5
    assert balanced_accuracy(truth, read, np.array([1.0, 1, 1, 0])) == 1.0


def test_auroc_is_the_chance_of_the_right_order():
    score, truth = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])
    assert auroc(score, truth, np.ones(4)) == pytest.approx(3.5 / 4)
    assert auroc(score, truth, np.array([1.0, 1, 0, 2])) == 1.0
    assert np.isnan(auroc(score, np.ones(4, bool), np.ones(4)))


def test_ece_is_what_probabilities_are_off_by():
    sure, right = np.full(10, 0.85), np.array([True] * 6 + [False] * 4)
    assert ece(sure, right, np.ones(10)) == pytest.approx(0.25)
    assert ece(np.array([0.0, 1.0]), np.array([False, True]), np.ones(2)) == 0.0


def row_of(subject, fold=0, *, is_right=True, kind="mr_t1", artefact=NONE):
    places = {"kind": KINDS.index(kind), "part": 0, "plane": 0}
    logits = {
        fact: tuple(3.0 if n == places[fact] * is_right else 0.0 for n in range(len(values)))
        for fact, values in FACTS.items()
    }
    logits[QUALITY] = tuple(2.0 if a == artefact else -2.0 for a in ARTEFACTS)
    nearest = {fact: values[0] for fact, values in FACTS.items()}
    return Row(fold, subject, kind, "head", "axial", artefact, 0.5, logits, nearest)


def test_rows_are_read_back(tmp_path):
    rows = (row_of("a"), row_of("b, the second", 1, kind="ct", artefact="noise"))
    write_rows(rows, tmp_path / "rows.csv")
    assert read_rows(tmp_path / "rows.csv") == rows


def test_values_of_too_few_subjects_are_named():
    rows = [
        row_of(subject, fold, kind=kind, artefact=artefact)
        for fold in (0, 1)
        for subject, kind in ((f"a{fold}", "mr_t1"), (f"b{fold}", "mr_t2"))
        for artefact in (NONE, *ARTEFACTS)
    ]
    rows += [row_of("c", kind="ct", artefact=artefact) for artefact in (NONE, *ARTEFACTS)]
    found = {figure.name: figure for figure in figures(rows)}
    assert "ct n = 1" in found["kind balanced accuracy"].note
    assert "mr_t2" not in found["kind balanced accuracy"].note
    assert found["kind balanced accuracy"].subjects == 5


def test_ct_is_not_judged_by_ghosts():
    rows = (row_of("a"), row_of("b", kind="ct"), row_of("a", artefact="noise"))
    assert HeldOut(rows).comparable("motion").tolist() == [True, False, False]
    assert HeldOut(rows).comparable("noise").tolist() == [True, True, True]


def test_a_phantom_is_known_as_one_and_by_nothing_else():
    assert place_of("part", "phantom", "phantom") == PARTS.index("phantom")
    assert place_of("kind", "mr_t1", "phantom") == UNKNOWN
    assert place_of("plane", NONE, "phantom") == UNKNOWN
    assert place_of("kind", "mr_t1", "head") == KINDS.index("mr_t1")
