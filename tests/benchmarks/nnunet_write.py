"""Write a folder and its predictions with nnunetv2 alone; runs in an environment of nnunetv2's own.

    PYTHON tests/benchmarks/nnunet_write.py OUT [--planner nnUNetPlannerResEncM]

Nothing of voxcite is imported. nnunetv2 plans a data set of balls and writes the checkpoints of two
folds that were not trained; their last layer is made louder, so that labels differ. Then its own
predictor answers for each fold on a scan of another spacing.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

NAME = "Dataset777_Balls"
RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
LABELS = {"background": 0, "liver": 1, "kidney_left": 2}
SPACING_MM = (1.5, 1.5, 3.0)
SCAN_SPACING_MM = (1.2, 1.8, 2.5)
LOUDER = 30.0
NARROWER = 8  # than planned: untrained features tell nothing and take time


def balls(rng, shape):
    """Draw two balls in noise, in the order x y z, with air around."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    labels = np.zeros(shape, np.uint8)
    for label in (1, 2):
        centre = rng.uniform(0.3, 0.7, 3) * shape
        radius = rng.uniform(0.12, 0.2) * min(shape)
        labels[((places - centre) ** 2).sum(-1) < radius**2] = label
    grey = rng.normal(0, 30, shape) + np.choose(labels, [-100, 60, 180])
    grey[:2] = 0  # a rim that nnU-Net crops away
    return grey.astype(np.float32), labels


def write_image(path, array, spacing_mm):
    """Write NIfTI with SimpleITK."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array.T)
    image.SetSpacing(spacing_mm)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


def write_data(raw, rng):
    """Write the data set that is planned."""
    folder = raw / NAME
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for case in range(4):
        grey, labels = balls(rng, (60, 56, 30))
        write_image(folder / "imagesTr" / f"ball_{case}_0000.nii.gz", grey, SPACING_MM)
        write_image(folder / "labelsTr" / f"ball_{case}.nii.gz", labels, SPACING_MM)
    told = {
        "channel_names": {"0": "CT"},
        "labels": LABELS,
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(told))


def plan(planner):
    """Let nnunetv2 plan; return plans and data set."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
    )

    extract_fingerprints([777], num_processes=1)
    plan_experiments([777], planner)
    (plans,) = (Path(os.environ[PREPROCESSED]) / NAME).glob("*Plans.json")
    dataset = Path(os.environ[RAW]) / NAME / "dataset.json"
    planned = json.loads(plans.read_text())
    for table in planned["configurations"].values():
        if "architecture" in table:
            made = table["architecture"]["arch_kwargs"]
            made["features_per_stage"] = [n // NARROWER for n in made["features_per_stage"]]
    return planned, json.loads(dataset.read_text())


def write_folds(out, plans, dataset):
    """Let nnunetv2's trainer write the checkpoints of two folds."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    # The trainer looks which kind of files it will read; it reads none.
    kind = plans["configurations"]["3d_fullres"]["data_identifier"]
    prepared = Path(os.environ[PREPROCESSED]) / NAME / kind
    prepared.mkdir(parents=True, exist_ok=True)
    (prepared / "ball_0.b2nd").touch()
    for fold in (0, 1):
        torch.manual_seed(fold)
        given = {**plans, "continue_training": False}  # the trainer takes it out again
        trainer = nnUNetTrainer(given, "3d_fullres", fold, dataset, torch.device("cpu"))
        trainer.initialize()
        with torch.no_grad():
            trainer.network.decoder.seg_layers[-1].weight.mul_(LOUDER)
        trainer.inference_allowed_mirroring_axes = (0, 1, 2)  # set when a training begins
        (out / "model" / f"fold_{fold}").mkdir(parents=True)
        trainer.save_checkpoint(str(out / "model" / f"fold_{fold}" / "checkpoint_final.pth"))
    (out / "model" / "plans.json").write_text(json.dumps(plans))
    (out / "model" / "dataset.json").write_text(json.dumps(dataset))


def predict(out):
    """Let nnunetv2 predict the scan by each fold; write probabilities ``class z y x``."""
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    image, facts = SimpleITKIO().read_images([str(out / "scan.nii.gz")])
    for fold in (0, 1):
        predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
        predictor.initialize_from_trained_model_folder(str(out / "model"), (fold,))
        _, found = predictor.predict_single_npy_array(image, facts, None, None, True)
        np.save(out / f"probability_{fold}.npy", np.asarray(found, np.float32))


def main():
    """Write model, scan and predictions."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--planner", default="ExperimentPlanner")
    chosen = arguments.parse_args()
    for key in (RAW, PREPROCESSED, RESULTS):
        os.environ[key] = str(chosen.out / key)
        (chosen.out / key).mkdir(parents=True)
    rng = np.random.default_rng(0)
    write_data(chosen.out / RAW, rng)
    grey, _ = balls(rng, (50, 44, 26))
    write_image(chosen.out / "scan.nii.gz", grey, SCAN_SPACING_MM)
    write_folds(chosen.out, *plan(chosen.planner))
    predict(chosen.out)


if __name__ == "__main__":
    main()
