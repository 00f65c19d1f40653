"""A MONAI bundle predicts as MONAI's own parts do, and runs nothing that is not trusted."""

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.networks.nets import UNet
from monai.transforms import Invertd

from assistant import Assistant, Settings, read_study
from assistant.cli import main
from assistant.verify import verify_report
from segment.measurement import Reason
from segment.models import is_own, load_own
from segment.models.brought import FolderError
from segment.models.bundle import load
from segment.models.bundle.predict import carried_back
from tests.phantoms import grid
from tests.supplied import AFFINE, ct, write, write_pair

# MONAI's readers say so when they are made, where a package of NVIDIA's is missing.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodec")
SIZES = {"spatial_dims": 3, "in_channels": 1, "channels": [4, 8], "strides": [2]}
LABELS = {"0": "background", "1": "Liver", "2": "Left Kidney"}
TURNED = np.array([[0, -2.0, 0, 9], [2.0, 0, 0, -3], [0, 0, -3.0, 40], [0, 0, 0, 1]])


def network(seed=0):
    torch.manual_seed(seed)
    return UNet(**SIZES, out_channels=3)


def constant(bias):
    """Return a network that answers the same everywhere."""
    made = network()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.model[-1][-1].bias.copy_(torch.tensor(bias))
    return made


def transform(name, **options):
    return {"_target_": name, "keys": "image", **options}


def configuration(spacing_mm=(2.0, 2.0, 3.0), **changes):
    """Return an inference.json of a spleen bundle's kind."""
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", **SIZES, "out_channels": 3},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                transform("LoadImaged"),
                transform("EnsureChannelFirstd"),
                transform("Orientationd", axcodes="RAS", labels=None),
                transform("Spacingd", pixdim=list(spacing_mm), mode="bilinear"),
                transform("ScaleIntensityRanged", a_min=-1000, a_max=500, b_min=0, b_max=1),
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [16, 16, 8],
            "overlap": 0.5,
            "device": "@device",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}],
        },
        **changes,
    }


def metadata(labels=None, channels=1):
    image, found = {"num_channels": channels}, {"channel_def": labels or LABELS}
    return {"network_data_format": {"inputs": {"image": image}, "outputs": {"pred": found}}}


def bundle(path, made=None, config=None, told=None):
    """Write a folder in MONAI's own layout."""
    for name in ("configs", "models"):
        (path / name).mkdir(parents=True, exist_ok=True)
    table = configuration() if config is None else config
    (path / "configs" / "inference.json").write_text(json.dumps(table))
    (path / "configs" / "metadata.json").write_text(json.dumps(told or metadata()))
    torch.save((made or network()).state_dict(), path / "models" / "model.pt")
    return path


def of_monai(folder, scan):
    """Run a bundle by MONAI alone, back to the grid of the file."""
    parser = ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    parser.parse()
    prepare, made = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("network")
    made.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    made.eval()
    data = prepare({"image": str(scan)})
    with torch.no_grad():
        logits = parser.get_parsed_content("inferer")(data["image"][None], made)
    data["pred"] = MetaTensor(torch.softmax(logits, dim=1)[0], meta=data["image"].meta)
    data["pred"].applied_operations = data["image"].applied_operations
    back = Invertd(keys="pred", transform=prepare, orig_keys="image", nearest_interp=False)
    return back(data)["pred"].numpy()


def speckled():
    """A scan without symmetry."""
    return (ct() + np.random.default_rng(0).normal(0, 90, ct().shape)).astype(np.int16)


@pytest.mark.parametrize("affine", [AFFINE, TURNED], ids=["upright", "turned"])
@pytest.mark.parametrize(
    ("spacing_mm", "atol"), [((2.0, 2.0, 3.0), 1e-5), ((1.5, 2.5, 2.0), 1e-3)], ids=str
)
def test_a_bundle_predicts_what_monai_does(tmp_path, affine, spacing_mm, atol):
    scan = write(tmp_path / "ct.nii.gz", speckled(), affine)
    folder = bundle(tmp_path / "b", config=configuration(spacing_mm))
    expected = of_monai(folder, scan)
    found = load(folder, is_trusted=True)(read_study(scan).volume)
    assert found.structures == ("background", "liver", "kidney_left")
    assert expected.std(axis=(1, 2, 3)).min() > 10 * atol
    assert np.allclose(found.probability[0], expected, rtol=0, atol=atol)


def test_a_reader_that_adds_a_channel_is_followed(tmp_path):
    config = configuration()
    config["preprocessing"]["transforms"][:2] = [transform("LoadImaged", ensure_channel_first=True)]
    scan = write(tmp_path / "ct.nii.gz", speckled())
    folder = bundle(tmp_path / "b", config=config)
    found = load(folder, is_trusted=True)(read_study(scan).volume)
    assert np.allclose(found.probability[0], of_monai(folder, scan), rtol=0, atol=1e-5)


def test_probabilities_come_back_to_where_they_were_and_beyond_is_background():
    source, target = (
        grid((2.0, 2.0, 2.0), field_mm=40),
        grid((1.0, 1.5, 1.2), field_mm=60, axes="LPS"),
    )
    x_mm = source.to_world(np.indices(source.shape).reshape(3, -1).T.astype(float))[:, 0]
    share = ((x_mm + 30) / 60).reshape(source.shape).astype(np.float32)
    found = carried_back(np.stack([1 - share, share]), source, target)
    world = target.to_world(np.indices(target.shape).reshape(3, -1).T.astype(float))
    inside = (np.abs(world) < 19).all(axis=1).reshape(target.shape)
    beyond = (np.abs(world) > 20.1).any(axis=1).reshape(target.shape)
    assert np.allclose(
        found[1][inside], ((world[:, 0] + 30) / 60).reshape(target.shape)[inside], atol=1e-5
    )
    assert (found[0][beyond] == 1).all()
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)


def refused(path, match, *, is_trusted=True):
    """Expect one sentence that names no folder above."""
    with pytest.raises(FolderError, match=match) as caught:
        load(path, is_trusted=is_trusted)
    said = str(caught.value)
    assert said.startswith(f"{path.name}: expected ")
    assert "\n" not in said
    assert str(path.parent) not in said


def test_a_configuration_that_is_not_trusted_makes_nothing(tmp_path):
    mark = tmp_path / "ran"
    config = configuration(network_def=f"$__import__('os').mkdir({str(mark)!r})")
    path = bundle(tmp_path / "b", config=config)
    refused(path, "add --trust, which lets it run code", is_trusted=False)
    assert not mark.exists()
    refused(path, "expected the weights of its network_def")
    assert mark.exists()


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_weights_run_nothing_even_if_the_bundle_is_trusted(tmp_path):
    path, mark = bundle(tmp_path / "b"), tmp_path / "ran"
    torch.save({"weights": _Runs(str(mark))}, path / "models" / "model.pt")
    refused(path, "expected numbers in model.pt")
    assert not mark.exists()


@pytest.mark.parametrize(
    "part", ["configs/inference.json", "models/model.pt", "configs/metadata.json"]
)
def test_a_part_that_is_missing_is_named(tmp_path, part):
    path = bundle(tmp_path / "b")
    (path / part).unlink()
    refused(path, f"expected {part.rpartition('/')[2] if 'meta' in part else part}, found none")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "expected configs/inference.json, found none")


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({}, "found no readable 'network_data_format'"),
        (metadata(channels=2), "found one of 2"),
        (metadata({"0": "background", "1": "tumour"}), "a label of a known organ, found tumour"),
        (metadata({"0": "liver", "1": "spleen"}), "expected background and labels, found liver"),
        (metadata({"0": "background", "2": "liver"}), "network_data_format, found another"),
    ],
    ids=["empty", "channels", "unknown", "no background", "gap"],
)
def test_metadata_that_cannot_be_used_is_refused(tmp_path, told, match):
    path = bundle(tmp_path / "b")
    (path / "configs" / "metadata.json").write_text(json.dumps(told))
    refused(path, match)


def sigmoid(value=True):
    part = {"_target_": "Activationsd", "keys": "pred", "sigmoid": value}
    whole = {"_target_": "Compose", "transforms": [part]}
    return {"_target_": "Compose", "transforms": [whole]}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"postprocessing": sigmoid()}, "found a sigmoid for each"),
        ({"postprocessing": sigmoid("$not False")}, "found a sigmoid for each"),
        ({"preprocessing": "$None"}, "a Compose of transforms, found another"),
        ({"inferer": {"_target_": "NoSuchInferer"}}, "makes its parts, found one that ends in"),
        ({"network_def": {"_target_": "UNet", **SIZES, "out_channels": 4}}, "of another network"),
    ],
    ids=["sigmoid", "code", "preprocessing", "inferer", "weights"],
)
def test_a_configuration_that_cannot_be_followed_is_refused(tmp_path, changes, match):
    refused(bundle(tmp_path / "b", config=configuration(**changes)), match)


def test_an_output_with_other_channels_than_the_metadata_is_refused(tmp_path):
    path = bundle(tmp_path / "b", told=metadata({**LABELS, "3": "spleen"}))
    scan = read_study(write_pair(tmp_path)[0]).volume
    with pytest.raises(FolderError, match=r"a channel for each label, found an output of \(3, "):
        load(path, is_trusted=True)(scan)


def test_a_scan_that_the_bundle_fails_on_is_refused(tmp_path):
    config = configuration()
    config["preprocessing"]["transforms"].append(transform("Lambdad", func="$lambda x: x.no_such"))
    scan = read_study(write_pair(tmp_path)[0]).volume
    made = load(bundle(tmp_path / "b", config=config), is_trusted=True)
    with pytest.raises(FolderError, match="a bundle for this scan, found one that ends in"):
        made(scan)


def test_probabilities_that_take_too_much_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("segment.models.bundle.predict.LARGEST_BYTES", 1000)
    scan = read_study(write_pair(tmp_path)[0]).volume
    with pytest.raises(FolderError, match="cut the scan to what is needed"):
        load(bundle(tmp_path / "b"), is_trusted=True)(scan)


def test_a_report_by_a_bundle_holds_and_has_no_interval(tmp_path):
    path = bundle(tmp_path / "b", constant([0.0, 9.0, 0.0]))
    study = read_study(write_pair(tmp_path)[0])
    settings = Settings(exam="ct-organs", segmenter=f"bundle:{path}", trust=True)
    report = Assistant.from_settings(settings)(study)
    reasons = {(m.structure, m.side): m.reason for m in report.measurements[:14]}
    assert reasons["liver", "none"] is Reason.TRUNCATED
    assert reasons["kidney", "left"] is Reason.NO_VOXELS
    assert reasons["kidney", "right"] is Reason.NOT_LABELLED
    assert verify_report(report.to_json()) == ()
    assert report.provenance["segmenter"] == "MONAI bundle b"
    assert report.provenance["plan"]["segmenter"] == "bundle:b"
    assert str(tmp_path) not in json.dumps(report.to_json())


def test_the_command_asks_for_trust(tmp_path, capsys):
    scan, _ = write_pair(tmp_path)
    path = bundle(tmp_path / "b", constant([0.0, 9.0, 0.0]))
    chosen = ["draft", str(scan), "--exam", "ct-organs", "--model", f"bundle:{path}"]
    assert main([*chosen, "-o", str(tmp_path / "o")]) == 2
    assert "b: expected a configuration that runs no code" in capsys.readouterr().err
    assert main([*chosen, "--trust", "-o", str(tmp_path / "out")]) == 3  # all reaches the edge
    assert "truncated" in (tmp_path / "out" / "report.json").read_text()


def test_a_bundle_is_named_by_its_kind_and_names_its_weights(tmp_path):
    name = f"bundle:{bundle(tmp_path / 'b')}"
    assert is_own(name)
    assert len(load_own(name, is_trusted=True).weights_sha256) == 64
