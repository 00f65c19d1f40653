"""Studies come from a real DICOMweb server, reports go back; neither is changed on the way."""

import json
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from assistant import exports
from assistant.cli import OK, REFUSED, main
from assistant.dicomweb import Address, fetch, fetched, find, is_address, store
from assistant.dicomweb.parts import write_parts
from assistant.study import read_study
from segment.errors import Refusal, ScanError
from tests.exported import MADE, exporter
from tests.loopback import JSON, PARTS, answering, in_parts
from tests.orthanc import log_in, needs_server, orthanc
from tests.shared_data import shared_data
from tests.sources import PATIENT, fitted, series
from tests.test_report import drafted

STUDY = "1.2.826.0.1.3680043.8.498.4711"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/dicom-web", Address("https://a.example/dicom-web")),
        ("http://a.example:8042/dicom-web/", Address("http://a.example:8042/dicom-web")),
        (f"https://a.example/x/studies/{STUDY}", Address("https://a.example/x", STUDY)),
        (f"http://a.example/studies/{STUDY}/series/1.2", Address("http://a.example", STUDY, "1.2")),
    ],
)
def test_an_address_names_a_server_a_study_or_a_series(text, expected):
    assert Address.of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://a.example/dicom-web", "https://a.example/dicom-web/studies/", "https://"),
        f"https://a.example/dicom-web/studies/{STUDY}/../../instances",
        f"https://a.example/dicom-web/studies/{STUDY}?x=1",
        *("https://ada:a-password@a.example/dicom-web", "http://a.example:99999/dicom-web"),
        "http://[::1/dicom-web",
    ],
)
def test_any_other_address_is_refused_and_not_quoted(text):
    with pytest.raises(ScanError) as refused:
        Address.of(text)
    assert refused.value.code is Refusal.BAD_OPTION
    assert "a.example" not in str(refused.value)
    assert "a-password" not in str(refused.value)


@pytest.mark.slow
def test_a_server_that_is_not_there_is_said_in_one_sentence(capsys):
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{held.getsockname()[1]}/dicom-web"
        assert main(["dicomweb", "find", root]) == REFUSED
        assert "[server]" in capsys.readouterr().err
        assert main(["draft", f"{root}/studies/{STUDY}", "--writer", "template"]) == REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    assert "expected a DICOMweb server that answers" in said.err
    assert said.err.splitlines()[-1].endswith("[server]")


def test_a_server_alone_is_no_study():
    with pytest.raises(ScanError, match="add /studies/UID"):
        read_study("http://127.0.0.1:1/dicom-web")


# beside servers that are none


def json_of(*studies):
    return json.dumps(studies).encode()


def study_json(**values):
    tags = {"uid": "0020000D", "date": "00080020", "kinds": "00080061", "text": "00081030"}
    return {tags[name]: {"vr": "LO", "Value": [value]} for name, value in values.items()}


def picture(size=3000):
    """Return bytes that look like a DICOM file, with the delimiter's beginning among them."""
    return bytes(128) + b"DICM" + b"\r\n--\r\n" * (size // 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"body": b"<html>log in</html>"}, "found another one; check the address"),
        ({"body": b"[" * 200000, **JSON}, "found another one"),
        ({"body": b"[1, 2]", **JSON}, "found another one"),
        ({"status": 302, "Location": "http://127.0.0.1:1/"}, "sends elsewhere"),
        ({"status": 500, "body": b"Quetzal"}, r"it failed \(500\)"),
        ({"body": json_of(*(study_json(uid=f"1.{n}") for n in range(201))), **JSON}, "at most 200"),
    ],
    ids=["a page", "too deep", "no studies", "elsewhere", "a fault", "too many"],
)
def test_an_answer_that_is_none_of_a_search_is_one_sentence(answer, said):
    with answering(**answer) as root, pytest.raises(ScanError, match=said) as refused:
        find(root)
    assert "Quetzal" not in str(refused.value)


@pytest.mark.slow
def test_what_a_server_says_of_a_study_reaches_no_terminal_as_it_is(capfd):
    odd = study_json(
        uid="1.2/../3", date="\x1b[2J", kinds="MR\n", text="\x1b[31m MR\nBrain " + "c" * 99
    )
    good = study_json(uid="1.2", date="20240229", kinds="MR", text="Head")
    with answering(body=json_of(odd, good), Warning="299 x \x1b[31mQuetzal", **JSON) as root:
        assert main(["dicomweb", "find", root]) == OK
    out, err = capfd.readouterr()
    assert out.splitlines() == [f"20240229  MR  Head  {root}/studies/1.2", "1 studies"]
    assert err == ""
    with answering(body=json_of(odd | study_json(uid="1.3")), **JSON) as root:
        (one,) = find(root)
    assert (one.date, one.modalities) == ("", ())
    assert one.description == "MR Brain"


@pytest.mark.slow
def test_a_server_is_called_by_its_name_and_port():
    with answering(body=json_of(study_json(uid="1.3")), **JSON) as root:
        assert [one.uid for one in find(root)] == ["1.3"]


def test_a_description_is_shown_by_the_terms_of_imaging_in_it():
    pytest.importorskip("dicomweb_client")
    from assistant.dicomweb.child import known_words

    assert known_words("MR Head/Brain^T1 R. Quetzal, Dr O'Neill") == ["MR", "Head", "Brain", "T1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"body": b"<html>"}, Refusal.SERVER),
        ({"body": in_parts(b"<html>"), **PARTS}, Refusal.SERVER),
        ({"body": in_parts(picture())[:-20], **PARTS}, Refusal.SERVER),
        ({"body": b"--x\r\n" + b"a" * 100000, **PARTS}, Refusal.SERVER),
        ({"body": in_parts(), **PARTS}, Refusal.SERVER),
        ({"body": in_parts(picture()), "Content_Type": "multipart/related"}, Refusal.SERVER),
    ],
    ids=["a page", "a page in parts", "broken off", "a long header", "nothing", "no boundary"],
)
def test_an_answer_that_is_no_study_leaves_nothing(answer, code, tmp_path):
    output = tmp_path / "out"
    with answering(**answer) as root:
        address = Address(root, STUDY)
        with fetched_into(tmp_path / "part") as folder, pytest.raises(ScanError) as refused:
            fetch(address, folder)
        assert main(["dicomweb", "fetch", f"{root}/studies/{STUDY}", "-o", str(output)]) == REFUSED
    assert refused.value.code is code
    assert not output.exists()


@contextmanager
def fetched_into(folder):
    folder.mkdir()
    yield folder


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**6])
def test_parts_are_files_byte_for_byte_however_they_arrive(chunk, tmp_path):
    sent = [picture(60), picture(3000), picture(600)]
    body = b"before\r\n" + in_parts(*sent)
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    assert write_parts(pieces, b"x", tmp_path) == len(sent)
    assert [path.read_bytes() for path in files_of(tmp_path)] == sent


@pytest.mark.slow
def test_a_fetch_goes_into_an_empty_folder_alone(tmp_path, capsys):
    (tmp_path / "other.dcm").write_bytes(b"another patient's")
    with answering(body=in_parts(picture()), **PARTS) as root:
        options = [f"{root}/studies/{STUDY}", "-o", str(tmp_path)]
        assert main(["dicomweb", "fetch", *options]) == REFUSED
    assert "empty folder" in capsys.readouterr().err
    assert len(files_of(tmp_path)) == 1


def test_a_path_is_never_an_address():
    assert not is_address(Path("http://a.example/dicom-web/studies/1.2"))
    assert is_address("HTTP://a.example/dicom-web/studies/1.2")


def test_without_the_package_its_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr("assistant.dicomweb.find_spec", lambda name: None)
    assert main(["dicomweb", "find", "http://127.0.0.1:1/dicom-web"]) == REFUSED
    assert "pip install 'voxcite[dicomweb]'" in capsys.readouterr().err


# beside a real server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc")) as root:
        yield root


@pytest.fixture(autouse=True)
def logged_in(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("home") / "netrc"
    log_in(path, monkeypatch)
    return path


@pytest.fixture
def scan(tmp_path):
    """A small series, in a folder of its own."""
    folder = tmp_path / "scan"
    texts = {"StudyDate": "20240229", "StudyDescription": "Head"}
    series(folder, StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), **texts)
    return folder


def study_of(folder):
    return str(dcmread(files_of(folder)[0], stop_before_pixels=True).StudyInstanceUID)


def files_of(folder):
    return sorted(path for path in folder.iterdir() if path.is_file())


def contents(folder):
    return sorted(path.read_bytes() for path in files_of(folder))


@pytest.mark.slow
@needs_server
def test_a_study_is_found_by_what_it_is_and_names_no_patient(server, scan, capsys):
    store(server, files_of(scan))
    uid = study_of(scan)
    found = [one for one in find(server, patient_id=PATIENT["PatientID"]) if one.uid == uid]
    assert [(one.date, one.modalities, one.description) for one in found] == [
        ("20240229", ("MR",), "Head")
    ]
    this_year = find(server, modality="MR", date="20240101-20241231")
    assert uid in {one.uid for one in this_year}
    assert uid not in {one.uid for one in find(server, date="20230101-20231231")}
    assert find(server, patient_id="nobody") == ()
    assert main(["dicomweb", "find", server]) == OK
    printed = capsys.readouterr().out
    assert f"{server}/studies/{study_of(scan)}" in printed
    assert "Quetzal" not in printed


@pytest.mark.slow
@needs_server
def test_what_is_fetched_is_what_was_stored_byte_for_byte(server, scan, tmp_path):
    assert main(["dicomweb", "store", server, *map(str, files_of(scan))]) == OK
    output = tmp_path / "out"
    assert (
        main(["dicomweb", "fetch", f"{server}/studies/{study_of(scan)}", "-o", str(output)]) == OK
    )
    assert contents(output) == contents(scan)


@pytest.mark.slow
@needs_server
@pytest.mark.parametrize(
    "name",
    ["mr_nine_transfer_syntaxes", "mr_t1_whole_head_120slices", "mr_hippocampus_crop_32slices"],
)
def test_real_files_are_not_changed_on_the_way(server, name):
    folder = shared_data("dicom", name)
    sent = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sent = [path for path in sent if path.read_bytes()[128:132] == b"DICM"]
    assert store(server, sent) == len(sent)
    for study in {dcmread(path, stop_before_pixels=True).StudyInstanceUID for path in sent}:
        with fetched(f"{server}/studies/{study}") as got:
            assert {path.read_bytes() for path in files_of(got)} <= {p.read_bytes() for p in sent}
    assert len(find(server)) > 0


@pytest.mark.slow
@needs_server
def test_a_study_is_read_as_its_folder_is(server, scan):
    store(server, files_of(scan))
    one = dcmread(files_of(scan)[0], stop_before_pixels=True)
    near = read_study(scan)
    for below in ("", f"/series/{one.SeriesInstanceUID}"):
        far = read_study(f"{server}/studies/{study_of(scan)}{below}")
        assert far.volume.sha256 == near.volume.sha256
        assert (far.volume.array == near.volume.array).all()
        assert far.identifiers == near.identifiers
        assert far.name == "study"


@pytest.mark.slow
@needs_server
def test_a_report_is_stored_beside_its_study_and_read_again(server, scan, tmp_path):
    exporter("dicom_sr")
    store(server, files_of(scan))
    report, source = fitted(drafted(), scan, tmp_path / "segmentation.nii.gz")
    written = [tmp_path / name for name in ("dicom_sr", "dicom_seg")]
    for path in written:
        path.write_bytes(exports.load(path.name, source)(report, [], MADE))
    assert store(server, written) == len(written)
    with fetched(f"{server}/studies/{study_of(scan)}") as got:
        kinds = {dcmread(path, stop_before_pixels=True).Modality for path in files_of(got)}
        assert kinds == {"MR", "SR", "SEG"}
        assert {path.read_bytes() for path in written} <= set(contents(got))
    far = read_study(f"{server}/studies/{study_of(scan)}")
    assert far.volume.sha256 == read_study(scan).volume.sha256


@pytest.mark.slow
@needs_server
@pytest.mark.parametrize(
    ("below", "said"),
    [("/studies/1.2.3.4", "found none"), ("x/studies/1.2.3.4", "found none")],
)
def test_what_is_not_on_the_server_is_said_to_be_missing(server, below, said):
    with pytest.raises(ScanError, match=said) as refused:
        read_study(f"{server}{below}")
    assert refused.value.code is Refusal.SERVER


@pytest.mark.slow
@needs_server
def test_without_the_password_nothing_is_to_be_had(server, logged_in):
    logged_in.write_text("", encoding="utf-8")
    with pytest.raises(ScanError, match=r"put it into ~/\.netrc"):
        find(server)


@pytest.mark.slow
@needs_server
def test_what_the_server_will_not_take_is_said(server, tmp_path, scan):
    path = tmp_path / "odd.dcm"
    odd = dcmread(files_of(scan)[0])
    del odd.SOPInstanceUID
    odd.save_as(path)
    with pytest.raises(ScanError) as refused:
        store(server, [path])
    assert refused.value.code is Refusal.SERVER


def test_what_is_no_dicom_is_not_sent(tmp_path):
    path = Path(tmp_path / "note.txt")
    path.write_text("no DICOM", encoding="utf-8")
    with pytest.raises(ScanError, match="found another"):
        store("http://127.0.0.1:1/dicom-web", [path])
