"""A folder laid out as nnU-Net v2 leaves one, with a tiny network; nnunetv2 is not needed."""

import json

import numpy as np
import torch

from segment.models.nnunet.network import UNet
from segment.models.nnunet.plans import Architecture

LABELS = {"background": 0, "liver": 1, "kidney_left": 2}
ONES, TWOS, THREES = [1, 1, 1], [2, 2, 2], [3, 3, 3]


def plans(kind="PlainConvUNet", **changes):
    """Return the plans of one configuration; ``changes`` go into it."""
    blocks = "n_blocks_per_stage" if kind == "ResidualEncoderUNet" else "n_conv_per_stage"
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    table = {
        "patch_size": [8, 20, 20],
        "spacing": [3.0, 2.0, 2.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 6, 8],
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[1, 3, 3], THREES, THREES],
                "strides": [ONES, [1, 2, 2], TWOS],
                blocks: [1, 2, 2],
                "n_conv_per_stage_decoder": [1, 2],
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    facts = {"mean": 20.0, "std": 100.0, "percentile_00_5": -500.0, "percentile_99_5": 300.0}
    return {
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": facts},
        "configurations": {"3d_fullres": table | changes},
    }


def architecture(*, is_residual=False):
    """Return the same network as the plans."""
    return Architecture(
        is_residual=is_residual,
        features=(4, 6, 8),
        kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
        encoder=(1, 2, 2),
        decoder=(1, 2),
        has_bias=True,
    )


def network(seed=0, *, is_residual=False):
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return UNet(architecture(is_residual=is_residual), len(LABELS))


def weights_of(made):
    """Name the weights as nnU-Net's checkpoints do: most of them several times."""
    state = dict(made.state_dict())
    for key, value in list(state.items()):
        if ".conv." in key:
            state[key.replace(".conv.", ".all_modules.0.")] = value
        if key.startswith("encoder."):
            state[f"decoder.{key}"] = value
    return state


def folder(path, made=(), table=None, dataset=None, **checkpoint):
    """Write a folder with a fold for each network."""
    path.mkdir(parents=True, exist_ok=True)
    told = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz"}
    (path / "plans.json").write_text(json.dumps(plans() if table is None else table))
    (path / "dataset.json").write_text(json.dumps(told if dataset is None else dataset))
    for fold, one in enumerate(made or (network(),)):
        (path / f"fold_{fold}").mkdir(exist_ok=True)
        content = {
            "network_weights": weights_of(one),
            "init_args": {"configuration": "3d_fullres"},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (1,),
            "logging": {"ema_fg_dice": [np.float64(0.5)]},
        }
        torch.save(content | checkpoint, path / f"fold_{fold}" / "checkpoint_final.pth")
    return path
