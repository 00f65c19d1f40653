"""A plan's values are of their type and range before anything is trained, and the key is named."""

from importlib.resources import files

import pytest

from segment.adapt.plan import AdaptPlan
from segment.federated.plan import FederationPlan
from segment.models.pretraining.plan import PretrainingPlan
from segment.models.training.plan import TrainingPlan
from tests.toy_federation import toy_plan

PLANS = {
    AdaptPlan: ("segment.adapt", "adapt.toml"),
    TrainingPlan: ("segment.models.training", "train.toml"),
    PretrainingPlan: ("segment.models.pretraining", "pretrain.toml"),
    FederationPlan: ("segment.federated", "federation.toml"),
}


def text_of(plan):
    """Return the shipped file of a plan."""
    package, name = PLANS[plan]
    return files(package).joinpath(name).read_text(encoding="utf-8")


def read_with(plan, key, value, folder):
    """Read the shipped plan with another value of a key."""
    lines = text_of(plan).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{key} "))
    lines[place] = f"{key} = {value}"
    (folder / "plan.toml").write_text("\n".join(lines), encoding="utf-8")
    return plan.read(folder / "plan.toml")


@pytest.mark.parametrize(
    ("plan", "key", "value", "told"),
    [
        *((plan, "batch", '"two"', "a whole number, found 'two'") for plan in [*PLANS][:3]),
        (AdaptPlan, "batch", "true", "a whole number, found True"),
        (AdaptPlan, "batch", "2.0", r"a whole number, found 2\.0"),
        (AdaptPlan, "learning_rate", "nan", "a finite number, found nan"),
        (AdaptPlan, "learning_rate", "1" + 400 * "0", "a finite number, found 10"),
        (AdaptPlan, "learning_rate", "[1.0]", r"a finite number, found \[1\.0\]"),
        (TrainingPlan, "patch", "[32, 48]", r"a list of 3, each a whole number, found \[32, 48\]"),
        (TrainingPlan, "structures", "[1]", r"a list, each a text, found \[1\]"),
        (TrainingPlan, "sizes", "3", "a table, found 3"),
        (FederationPlan, "round_s", "nan", "a finite number, found nan"),
        (FederationPlan, "round_s", "inf", "a finite number, found inf"),
        (FederationPlan, "seed", '"a"', "a whole number, found 'a'"),
        (FederationPlan, "rounds", "1.5", r"a whole number, found 1\.5"),
        (FederationPlan, "secure", '"no"', "true or false, found 'no'"),
        (FederationPlan, "combine", "3", "a text, found 3"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(plan, key, value, told, tmp_path):
    with pytest.raises(ValueError, match=rf"^plan\.toml: {key}: expected {told}.*; change it$"):
        read_with(plan, key, value, tmp_path)


@pytest.mark.parametrize(
    ("plan", "key", "value", "told"),
    [
        *((plan, "learning_rate", "-1", r"more than 0, found -1\.0") for plan in [*PLANS][:3]),
        *((plan, "learning_rate", "0", r"more than 0, found 0\.0") for plan in [*PLANS][:3]),
        *((plan, "batch", "0", "1 or more, found 0") for plan in (AdaptPlan, TrainingPlan)),
        (AdaptPlan, "members", "0", "1 or more, found 0"),
        (AdaptPlan, "fold_members", "0", "1 or more, found 0"),
        (AdaptPlan, "settling_epochs", "-1", "0 or more, found -1"),
        (AdaptPlan, "precision", '"int8"', "bfloat16 or float32, found 'int8'"),
        (TrainingPlan, "epochs", "0", "1 or more, found 0"),
        (TrainingPlan, "checkpoint_every_epochs", "0", "1 or more, found 0"),
        (TrainingPlan, "members", "-1", "0 or more, found -1"),
        (PretrainingPlan, "hidden_voxels", "0", "1 or more, found 0"),
        (PretrainingPlan, "temperature", "0", r"more than 0, found 0\.0"),
        (FederationPlan, "seed", "-1", "0 or more, up to 4294967295, found -1"),
        (FederationPlan, "seed", "5_000_000_000", "0 or more, up to 4294967295, found 50"),
    ],
)
def test_a_value_that_nothing_can_be_trained_with_is_refused_by_its_key(
    plan, key, value, told, tmp_path
):
    with pytest.raises(ValueError, match=f"^{key}: expected {told}.*; change it$"):
        read_with(plan, key, value, tmp_path)


def test_a_schedule_without_a_name_is_refused_when_the_plan_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of the schedules .*, found 'mild'"):
        read_with(AdaptPlan, "schedule", '"mild"', tmp_path)


def test_a_whole_number_stands_for_any_number(tmp_path):
    assert toy_plan(tmp_path, round_s=60).round_s == 60.0


@pytest.mark.parametrize("plan", PLANS)
def test_the_shipped_plan_is_taken_as_it_is(plan, tmp_path):
    (tmp_path / "plan.toml").write_text(text_of(plan), encoding="utf-8")
    assert isinstance(plan.read(tmp_path / "plan.toml"), plan)
