"""How a folder says a scan is prepared and its network built. Knows no voxel and no weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segment.models.brought import read_json, refusal

READERS = {"SimpleITKIO": False, "NibabelIO": False, "NibabelIOWithReorient": True}
NORMALISATIONS = ("CTNormalization", "ZScoreNormalization", "NoNormalization")
RESAMPLING = "resample_data_or_seg_to_shape"
NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")
CONV, NORM = "torch.nn.modules.conv.Conv3d", "torch.nn.modules.instancenorm.InstanceNorm3d"
NONLIN = "torch.nn.LeakyReLU"
GIVE = "give the folder that nnU-Net trained"
FULL = "train a plain 3-D configuration, or give its labels with --segmentation"
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Resampling:
    """The orders of the splines in a slice and across slices; ``is_separate`` may force the two."""

    order: int
    order_z: int
    is_separate: bool | None


@dataclass(frozen=True)
class Architecture:
    """A U-Net: its stages from the finest to the coarsest."""

    is_residual: bool
    features: tuple[int, ...]
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    has_bias: bool


@dataclass(frozen=True)
class Plans:
    """All that a prediction needs beside the weights; axes are those of nnU-Net: z, y, x."""

    name: str
    labels: tuple[str, ...]
    architecture: Architecture
    patch: Triple
    spacing_mm: tuple[float, float, float]
    forward: Triple
    is_reoriented: bool
    normalisation: str
    is_masked: bool
    intensity: Mapping[str, float]
    data: Resampling
    probabilities: Resampling


def read_plans(folder: Path, configuration: str) -> Plans:
    """Read the plans of one configuration; raises FolderError for one that is not followed here."""
    name = folder.resolve().name
    plans, dataset = (read_json(folder / f"{n}.json", name, GIVE) for n in ("plans", "dataset"))
    try:
        return _plans(name, plans, dataset, configuration)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        told = f"no readable {error}" if isinstance(error, KeyError) else "others"
        advice = "train it again with nnU-Net 2.4 or newer"
        raise refusal(name, "the plans of nnU-Net v2", told, advice) from error


def _plans(
    name: str, plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str
) -> Plans:
    table = _inherited(plans["configurations"], configuration)
    if table.get("previous_stage") or configuration.endswith("cascade_fullres"):
        raise refusal(name, "one network", "a cascade of two", FULL)
    if len(table["patch_size"]) != 3:
        raise refusal(name, "a 3-D configuration", configuration, FULL)
    channels = dataset.get("channel_names", dataset.get("modality", {}))
    if len(channels) != 1:
        raise refusal(name, "a network of one scan", f"one of {len(channels)}", FULL)
    reader = _one_of(name, "image_reader_writer", plans["image_reader_writer"], tuple(READERS))
    (scheme,) = table["normalization_schemes"]
    for key in ("resampling_fn_data", "resampling_fn_probabilities"):
        _one_of(name, key, table[key], (RESAMPLING,))
    return Plans(
        name=name,
        labels=_labels(name, dataset["labels"]),
        architecture=_architecture(name, table["architecture"]),
        patch=_triple(table["patch_size"]),
        spacing_mm=_spacing(table["spacing"]),
        forward=_triple(plans["transpose_forward"]),
        is_reoriented=READERS[reader],
        normalisation=_one_of(name, "normalization_schemes", scheme, NORMALISATIONS),
        is_masked=bool(table["use_mask_for_norm"][0]),
        intensity=dict(plans["foreground_intensity_properties_per_channel"].get("0", {})),
        data=_resampling(table["resampling_fn_data_kwargs"]),
        probabilities=_resampling(table["resampling_fn_probabilities_kwargs"]),
    )


def _inherited(tables: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """Return a configuration with what it takes from others."""
    table = dict(tables[configuration])
    seen = {configuration}
    while (parent := table.pop("inherits_from", None)) is not None and parent not in seen:
        seen.add(parent)
        table = {**tables[parent], **table}
    return table


def _labels(name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the channels in their order; regions of several labels have no order."""
    if any(isinstance(value, list) for value in table.values()):
        raise refusal(name, "labels that exclude one another", "regions of several", FULL)
    kept = {int(value): label for label, value in table.items() if label != "ignore"}
    if sorted(kept) != list(range(len(kept))):
        raise refusal(name, "labels from 0 without a gap", str(sorted(kept)), "train it again")
    return tuple(kept[value] for value in sorted(kept))


def _architecture(name: str, table: Mapping[str, Any]) -> Architecture:
    kind = str(table["network_class_name"]).rpartition(".")[2]
    _one_of(name, "network_class_name", kind, NETWORKS)
    made = table["arch_kwargs"]
    for key, known in (("conv_op", CONV), ("norm_op", NORM), ("nonlin", NONLIN)):
        _one_of(name, key, made[key], (known,))
    if made.get("dropout_op") is not None or made.get("nonlin_first"):
        raise refusal(name, "nnU-Net's own network", "a changed one", FULL)
    stages = made["n_stages"]
    is_residual = kind == "ResidualEncoderUNet"
    return Architecture(
        is_residual=is_residual,
        features=tuple(int(n) for n in made["features_per_stage"]),
        kernels=tuple(_triple(k) for k in made["kernel_sizes"]),
        strides=tuple(_triple(s) for s in made["strides"]),
        encoder=_counts(made["n_blocks_per_stage" if is_residual else "n_conv_per_stage"], stages),
        decoder=_counts(made["n_conv_per_stage_decoder"], stages - 1),
        has_bias=bool(made["conv_bias"]),
    )


def _counts(given: int | list[int], length: int) -> tuple[int, ...]:
    return (given,) * length if isinstance(given, int) else tuple(int(n) for n in given)


def _resampling(table: Mapping[str, Any]) -> Resampling:
    return Resampling(int(table["order"]), int(table["order_z"]), table["force_separate_z"])


def _triple(values: int | list[int]) -> Triple:
    i, j, k = (values,) * 3 if isinstance(values, int) else (int(value) for value in values)
    return i, j, k


def _spacing(values: list[float]) -> tuple[float, float, float]:
    i, j, k = (float(value) for value in values)
    return i, j, k


def _one_of(name: str, key: str, found: object, known: tuple[str, ...]) -> str:
    if found not in known:
        raise refusal(name, f"{' or '.join(known)} for {key}", str(found)[:60], FULL)
    return str(found)
