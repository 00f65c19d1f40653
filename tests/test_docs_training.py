"""The commands of the pages on training on several machines are ones that their programs take."""

import re
import shlex
from importlib.resources import files
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from assistant.cli import parser
from assistant.writers.vlm.plan import TrainingPlan as WriterPlan
from segment.models.training.plan import TrainingPlan, plan_runs

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SLURM = {
    "$SLURM_JOB_NUM_NODES": "2",
    "$SLURM_JOB_ID": "1",
    "$SLURM_ARRAY_TASK_ID": "11",
    "$first": "first",
}
RUNS = 11


def commands(page):
    """Return the commands of a page's scripts, as lists of words, as SLURM would start them."""
    text = "\n".join(BLOCK.findall((DOCS / page).read_text(encoding="utf-8")))
    for name, value in SLURM.items():
        text = text.replace(name, value)
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[line[0] == "srun" :] for line in words if line and line[0] in PROGRAMS]


PROGRAMS = ("srun", "torchrun", "voxcite")
WRITER, SEGMENTER = commands("train-a-writer.md"), commands("networks.md")


def test_the_pages_hold_a_line_and_a_job_each():
    assert [words[0] for words in WRITER] == ["torchrun"] * 2
    assert [words[0] for words in SEGMENTER] == ["torchrun"] * 3 + ["voxcite"] * 4


@pytest.mark.parametrize("words", WRITER)
def test_torchrun_and_the_writers_training_take_their_options(words):
    launch = get_args_parser().parse_args(words[1:])
    assert (launch.nnodes, launch.nproc_per_node, launch.rdzv_backend) == ("2", "8", "c10d")
    assert (launch.training_script, launch.no_python) == ("voxcite", True)
    chosen = parser().parse_args(launch.training_script_args)
    assert chosen.resume
    plan = files("assistant.writers.vlm").joinpath(chosen.config.name)
    processes = int(launch.nnodes) * int(launch.nproc_per_node)
    assert WriterPlan.read(Path(str(plan))).accumulated(processes) == 1


@pytest.mark.parametrize("words", SEGMENTER[:3])
def test_torchrun_and_the_segmenters_training_take_their_options(words):
    launch = get_args_parser().parse_args(words[1:])
    assert (launch.training_script, launch.no_python) == ("voxcite", True)
    chosen = parser().parse_args(launch.training_script_args)
    plan = TrainingPlan.read(
        Path(str(files("segment.models.training").joinpath(chosen.config.name)))
    )
    machines = int(launch.nnodes.rpartition(":")[2])  # torchrun's own default is 1:1
    plan.check_shared(machines * int(launch.nproc_per_node))


@pytest.mark.parametrize("words", SEGMENTER[3:])
def test_the_segmenters_training_takes_its_options(words):
    chosen = parser().parse_args(words[1:])
    assert chosen.network == "transunet"
    assert chosen.runs == Path("/shared/runs/transunet")


def test_an_array_has_a_job_for_each_run_of_the_shipped_plan():
    plan = TrainingPlan.read(Path(str(files("segment.models.training").joinpath("train.toml"))))
    split = {"train": list(range(1, 60)), "val": [61]}
    assert len(plan_runs(plan, split)) == RUNS
    page = (DOCS / "networks.md").read_text(encoding="utf-8")
    assert f"#SBATCH --array=1-{RUNS}\n" in page
    assert parser().parse_args(SEGMENTER[5][1:]).share == (RUNS, RUNS)
