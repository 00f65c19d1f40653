"""Train nnunetv2 for some minutes; runs in an environment of nnunetv2's own.

    PYTHON tests/benchmarks/nnunet_train.py FOLDER --minutes 20 [--threads 2]

Nothing of voxcite is imported. FOLDER/nnUNet_raw holds the data set, FOLDER/images the scans that
are predicted into FOLDER/labels. Plans, preparation, augmentation, loss, optimiser and its falling
rate are nnU-Net's; the rate falls over the minutes as it would over its thousand epochs, and no
step begins after them. All cases train (fold ``all``): who is judged is not in the data set.
"""

import argparse
import json
import os
import time
from pathlib import Path

SETTING = "3d_fullres"
RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"


def planned(number):
    """Let nnunetv2 look at the data set, plan and prepare it; return plans and data set."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    extract_fingerprints([number], num_processes=1)
    plan_experiments([number])
    preprocess([number], configurations=(SETTING,), num_processes=(1,))
    (plans,) = Path(os.environ[PREPROCESSED]).glob("*/nnUNetPlans.json")
    (dataset,) = Path(os.environ[RAW]).glob("*/dataset.json")
    return json.loads(plans.read_text()), json.loads(dataset.read_text())


def trained(plans, dataset, minutes):
    """Train for so long; return the trainer and how many steps of what batch it took."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    given = {**plans, "continue_training": False}  # the trainer takes it out again
    trainer = nnUNetTrainer(given, SETTING, "all", dataset, torch.device("cpu"))
    trainer.on_train_start()
    began, steps = time.monotonic(), 0
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        trainer.lr_scheduler.step(share * trainer.num_epochs)
        trainer.network.train()
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        if hasattr(loader, "_finish"):
            loader._finish()
    return trainer, {"steps": steps, "seconds": time.monotonic() - began}


def predict(trainer, images, labels):
    """Let nnunetv2 predict every scan with the network as it is now, and write its labels."""
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    labels.mkdir()
    for path in sorted(images.glob("*.nii.gz")):
        image, facts = SimpleITKIO().read_images([str(path)])
        found = predictor.predict_single_npy_array(image, facts)
        SimpleITKIO().write_seg(found, str(labels / path.name), facts)


def main():
    """Plan, train, predict, and say what was done in FOLDER/trained.json."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--minutes", type=float, required=True)
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    for key in (RAW, PREPROCESSED, RESULTS):
        os.environ[key] = str(chosen.folder / key)
        (chosen.folder / key).mkdir(exist_ok=True)
    os.environ["nnUNet_n_proc_DA"] = str(chosen.threads)  # noqa: SIM112  nnU-Net's own name
    import torch

    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    (raw,) = (chosen.folder / RAW).iterdir()
    trainer, told = trained(*planned(int(raw.name[7:10])), chosen.minutes)
    told["batch"] = trainer.batch_size
    told["parameters"] = sum(weight.numel() for weight in trainer.network.parameters())
    predict(trainer, chosen.folder / "images", chosen.folder / "labels")
    (chosen.folder / "trained.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
