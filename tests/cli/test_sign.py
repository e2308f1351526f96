"""What `pausable sign` signs, skips, and reports."""

import json
import os
import sys
from pathlib import Path

import pytest

ALL_DIGESTS = ["sha256", "sha384", "sha512"]

KINDS = [
    ("rsa", None),
    ("rsa", "pkcs1v15"),
    ("rsa", "pss"),
    ("p256", None),
    ("p384", None),
    ("p521", None),
    ("ed25519", None),
]


@pytest.mark.parametrize(("kind", "scheme"), KINDS)
@pytest.mark.parametrize("size_bytes", [0, 5, 300_000])
def test_openssl_accepts_every_kind_of_signature(
    pausable_cli, keys, text, signature, kind, scheme, size_bytes
):
    text.write_bytes(os.urandom(size_bytes))
    options = [] if scheme is None else ["--scheme", scheme]
    ended = pausable_cli("sign", "--key", keys[kind], *options, text)
    assert (ended.code, ended.err) == (0, "")
    if kind == "ed25519" and not size_bytes:
        return  # openssl pkeyutl refuses to read an empty file
    assert keys.accepts(kind, text, signature, scheme)
    text.write_bytes(b"other")
    assert not keys.accepts(kind, text, signature, scheme)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(("kind", "scheme"), [("rsa", None), ("rsa", "pss"), ("p384", None)])
def test_digest_is_the_one_asked_for(pausable_cli, keys, text, signature, kind, scheme, digest):
    options = [] if scheme is None else ["--scheme", scheme]
    ended = pausable_cli("sign", "--key", keys[kind], "--digest", digest, *options, text)
    assert (ended.code, ended.err) == (0, "")
    accepted = {d for d in ALL_DIGESTS if keys.accepts(kind, text, signature, scheme, d)}
    assert accepted == {digest}


def test_key_for_pss_only_signs_with_pss(pausable_cli, keys, text, signature):
    keys.make_pss_only("pss-only")
    ended = pausable_cli("sign", "--key", keys["pss-only"], text)
    assert (ended.code, ended.err) == (0, "")
    assert keys.accepts("pss-only", text, signature, "pss")


@pytest.mark.parametrize(("kind", "scheme"), KINDS)
@pytest.mark.parametrize("size_bytes", [0, 5, 300_000])
def test_valid_signature_is_skipped_and_stays(
    pausable_cli, keys, text, signature, kind, scheme, size_bytes
):
    text.write_bytes(os.urandom(size_bytes))
    args = ["sign", "--key", keys[kind], *([] if scheme is None else ["--scheme", scheme]), text]
    pausable_cli(*args)
    before = signature.stat()
    ended = pausable_cli(*args)
    assert ended.code == 0
    assert "0 signed, 1 skipped" in ended.out
    after = signature.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def _truncated(signature):
    signature.write_bytes(signature.read_bytes()[:-1])


def _of_another_text(signature):
    signature.with_suffix("").write_text("changed\n")


def _empty(signature):
    signature.write_bytes(b"")


def _huge(signature):
    signature.write_bytes(signature.read_bytes() + bytes(10_000_000))


def _named_pipe(signature):
    signature.unlink()
    os.mkfifo(signature)


@pytest.mark.parametrize("spoil", [_truncated, _of_another_text, _empty, _huge, _named_pipe])
@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_invalid_signature_is_replaced(pausable_cli, keys, text, signature, kind, spoil):
    pausable_cli("sign", "--key", keys[kind], text)
    spoil(signature)
    ended = pausable_cli("sign", "--key", keys[kind], text)
    assert (ended.code, "1 signed" in ended.out) == (0, True)
    assert keys.accepts(kind, text, signature)


def test_signature_of_another_scheme_is_replaced(pausable_cli, keys, text, signature):
    pausable_cli("sign", "--key", keys["rsa"], text)
    assert "1 signed" in pausable_cli("sign", "--key", keys["rsa"], "--scheme", "pss", text).out
    assert keys.accepts("rsa", text, signature, "pss")


def test_as_many_files_as_jobs_are_paused_at_once_on_one_thread(pausable_cli, keys, files):
    paths = files(40)
    args = ["--jobs", "8", "--latency-ms", "5", "--json", *paths]
    report = json.loads(pausable_cli("sign", "--key", keys["p256"], *args).out)
    assert report["most_paused_at_once"] == 8
    assert report["threads_running_jobs"] == 1
    assert report["signed"] == 40
    assert all(keys.accepts("p256", path, f"{path}.sig") for path in paths)


def test_one_worker_serves_many_jobs(pausable_cli, keys, files):
    ended = pausable_cli("sign", "--key", keys["p256"], "--workers", "1", "--json", *files(20))
    assert json.loads(ended.out)["signed"] == 20


def test_json_report_tells_each_files_fate(pausable_cli, keys, files, tmp_path):
    signed, skipped = files(2)
    pausable_cli("sign", "--key", keys["rsa"], skipped)
    folder = tmp_path / "folder"
    folder.mkdir()
    ended = pausable_cli("sign", "--key", keys["rsa"], "--json", signed, skipped, folder)
    report = json.loads(ended.out)
    assert ended.code == 1
    assert report.pop("elapsed_s") > 0
    assert sorted(report.pop("files"), key=lambda file: file["outcome"]) == [
        {
            "file": str(folder),
            "outcome": "failed",
            "signature": None,
            "reason": "is a directory; name the files in it",
        },
        {
            "file": str(signed),
            "outcome": "signed",
            "signature": f"{signed}.sig",
            "reason": None,
        },
        {
            "file": str(skipped),
            "outcome": "skipped",
            "signature": f"{skipped}.sig",
            "reason": "has a valid signature",
        },
    ]
    assert report == {
        "signed": 1,
        "skipped": 1,
        "failed": 1,
        "interrupted": False,
        "key": "RSA-2048, pkcs1v15, sha256",
        "jobs": 64,
        "engine": "threads",
        "operations_per_trip": {"1": 1},
        "most_paused_at_once": 1,
        "threads_running_jobs": 1,
    }


def test_out_directory_is_made_and_gets_the_signatures(pausable_cli, keys, text, tmp_path):
    out = tmp_path / "new" / "folder"
    assert pausable_cli("sign", "--key", keys["rsa"], "--out", out, text).code == 0
    assert keys.accepts("rsa", text, out / "a.txt.sig")
    assert [path.name for path in out.iterdir()] == ["a.txt.sig"]


def test_file_named_twice_is_signed_once(pausable_cli, keys, text):
    ended = pausable_cli("sign", "--key", keys["rsa"], text, "a.txt", "./a.txt")
    assert "1 files: 1 signed" in ended.out


def test_signatures_among_the_files_are_left_out(pausable_cli, keys, files, listing):
    files(3)
    pausable_cli("sign", "--key", keys["rsa"], *listing())
    ended = pausable_cli("sign", "--key", keys["rsa"], *listing())
    assert ended.code == 0
    assert ended.out.count("is the signature of another file") == 3
    assert len(listing()) == 6


@pytest.mark.parametrize("name", ["ünï çödé", "-dash", "new\nline", "udcff\udcff", "x" * 251])
def test_unusual_names_are_signed_and_reported(pausable_cli, keys, tmp_path, listing, name):
    (tmp_path / name).write_text("text")
    ended = pausable_cli("sign", "--json", "--key", keys["rsa"], "--", name)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["files"][0]["signature"] == f"{name}.sig"
    assert listing() == sorted([name, f"{name}.sig"])


def test_lines_go_to_a_stream_that_knows_no_accents(spawn, keys, tmp_path):
    (tmp_path / "ünï").write_text("text")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    out, err = spawn("sign", "--key", keys["rsa"], "ünï", env=environment).communicate()
    assert (out.splitlines()[0], err) == (r"signed '\xfcn\xef' in '\xfcn\xef.sig'", "")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_big_file_is_signed_in_constant_memory(python, keys, text, signature, kind):
    size_bytes = 300_000_000
    with text.open("wb") as file:
        file.truncate(size_bytes)
    code = (
        "import sys; from pausable.cli._main import run; code = run(sys.argv[1:]);"
        "status = dict(line.split()[:2] for line in open('/proc/self/status') if 'kB' in line);"
        # not ru_maxrss: a new process begins with its parent's
        "print(status['RssAnon:'], status['VmHWM:']);"
        "sys.exit(code)"
    )
    ended = python("-c", code, "sign", "--key", keys[kind], text)
    own_kib, most_kib = map(int, ended.out.split()[-2:])
    assert ended.code == 0
    assert own_kib < 100_000
    if kind == "rsa":  # pages of a mapped file count as resident, but are the system's to take
        assert most_kib < 150_000
    assert keys.accepts(kind, text, signature)


def test_many_more_files_than_may_be_open(python, keys, files):
    names = [path.name for path in files(600)]
    args = ["-m", "pausable", "sign", "--key", keys["p256"], "--jobs", "500", "--json", *names]
    shell = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", sys.executable]
    ended = python(*args, program=shell)
    assert (ended.code, json.loads(ended.out)["signed"]) == (0, 600)


def test_help_shows_an_example_and_the_exit_codes(pausable_cli):
    ended = pausable_cli("sign", "--help")
    assert ended.code == 0
    assert "pausable sign --key key.pem *.txt\n" in ended.out
    assert "130  interrupted by Ctrl-C" in ended.out


def test_only_the_signature_is_left_beside_the_file(pausable_cli, keys, text, listing):
    pausable_cli("sign", "--key", keys["rsa"], text)
    assert listing() == ["a.txt", "a.txt.sig"]
    assert Path("a.txt.sig").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
