"""What costs the whole run (exit code 2, nothing done) and what costs one file (exit code 1)."""

import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pausable
from pausable.cli._detached import DetachedSignatures
from pausable.cli._key_engine import KeyEngine, Place
from pausable.cli._key_worker import sign_all
from pausable.cli._outcome import Outcome
from pausable.cli._plan import Task
from pausable.cli._run import Run

PASSPHRASE = "correct horse"


@pytest.fixture
def refused(pausable_cli, text, listing):
    """Run `pausable sign` with one file; return the one line that it is refused with."""

    def call(*args):
        before = listing()
        ended = pausable_cli("sign", *args, text)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.endswith("\n")
        assert ended.err.count("\n") == 1
        assert listing() == before
        return ended.err

    return call


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--jobs", "0"),
        ("--jobs", "-1"),
        ("--jobs", "many"),
        ("--jobs", "1" * 5000),
        ("--workers", "0"),
        ("--workers", "1e3"),
        ("--batch", "0"),
        ("--batch", "all"),
        ("--engine", "gpu"),
        ("--engine", "dask"),
        ("--engine", "dask://"),
        ("--engine", "dask://here"),
        ("--engine", "dask://here:99999"),
        ("--engine", "dask://:8786"),
        ("--latency-ms", "-1"),
        ("--latency-ms", "nan"),
        ("--latency-ms", "inf"),
        ("--latency-ms", "1e300"),
        ("--latency-ms", "soon"),
        ("--scheme", "oaep"),
        ("--digest", "md5"),
        ("--passin", "pass:secret"),
        ("--passin", "env:"),
        ("--bogus", "1"),
    ],
)
def test_bad_option_is_refused(refused, keys, option, value):
    assert option in refused("--key", keys["rsa"], option, value)


def test_digest_is_refused_for_ed25519(refused, keys):
    line = refused("--key", keys["ed25519"], "--digest", "sha512")
    assert "--digest is not for Ed25519 keys" in line


def test_other_scheme_is_refused_for_a_pss_only_key(refused, keys):
    keys.make_pss_only("pss-only")
    line = refused("--key", keys["pss-only"], "--scheme", "pkcs1v15")
    assert "is for RSA-PSS only; pass --scheme pss" in line


def test_key_that_does_not_exist_is_refused(refused):
    assert "'no.pem' cannot be read: No such file" in refused("--key", "no.pem")


def test_key_that_is_a_directory_is_refused(refused, tmp_path):
    assert "Is a directory" in refused("--key", tmp_path)


def test_missing_key_option_is_refused(refused):
    assert "--key" in refused()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no private key"),
        (b"hello", "no private key"),
        (os.urandom(2_000_000), "no private key"),
        (b"-----BEGIN CERTIFICATE-----\n", "certificate"),
        (b"ssh-ed25519 AAAA me@here\n", "public key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "ssh-keygen"),
    ],
)
def test_file_that_is_no_key_is_refused(refused, tmp_path, content, says):
    (tmp_path / "key").write_bytes(content)
    assert says in refused("--key", "key")


def test_openssh_key_is_refused_with_the_remedy(refused, tmp_path):
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "id").write_bytes(pem)
    assert "ssh-keygen -p -m PKCS8" in refused("--key", "id")


def test_public_key_is_refused(refused, keys):
    assert "is a public key" in refused("--key", keys["rsa.pub"])


@pytest.mark.parametrize(("kind", "name"), [("dsa", "DSA"), ("x25519", "X25519")])
def test_key_that_is_not_supported_is_refused(refused, keys, kind, name):
    assert f"kind {name}, which is not supported" in refused("--key", keys[kind])


def test_damaged_rsa_key_is_refused(refused, tmp_path):
    good, bad = (rsa.generate_private_key(65537, 2048).private_numbers() for _ in "ab")
    parts = [good.p, good.q, bad.d, bad.dmp1, bad.dmq1, bad.iqmp, good.public_numbers]
    numbers = rsa.RSAPrivateNumbers(*parts)
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "bad.pem").write_bytes(pem)
    assert "damaged" in refused("--key", "bad.pem")


def test_small_rsa_key_is_refused(refused, tmp_path):
    command = ["openssl", "genrsa", "-out", tmp_path / "small", "512"]
    subprocess.run(command, capture_output=True, check=True)
    assert "512 bits" in refused("--key", "small")


def test_scheme_is_refused_for_a_key_that_is_not_rsa(refused, keys):
    assert "--scheme is for RSA keys" in refused("--key", keys["p256"], "--scheme", "pss")


# -- passphrases -----------------------------------------------------------------------------------


def test_passphrase_comes_from_the_environment(pausable_cli, keys, text, signature, monkeypatch):
    monkeypatch.setenv("KEY_PASS", PASSPHRASE)
    args = ["--key", keys["encrypted"], "--passin", "env:KEY_PASS"]
    assert pausable_cli("sign", *args, text).code == 0
    assert keys.accepts("encrypted", text, signature)


def test_passphrase_for_a_key_without_one_does_no_harm(pausable_cli, keys, text, monkeypatch):
    monkeypatch.setenv("KEY_PASS", PASSPHRASE)
    ended = pausable_cli("sign", "--key", keys["rsa"], "--passin", "env:KEY_PASS", text)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("wrong", ["wrong", ""])
def test_wrong_passphrase_is_refused(refused, keys, monkeypatch, wrong):
    monkeypatch.setenv("KEY_PASS", wrong)
    line = refused("--key", keys["encrypted"], "--passin", "env:KEY_PASS")
    assert "passphrase" in line
    assert "wrong" in line


def test_missing_environment_variable_is_refused(refused, keys):
    assert "no environment variable 'NO_SUCH'" in refused(
        "--key", keys["encrypted"], "--passin", "env:NO_SUCH"
    )


def test_passphrase_without_a_terminal_is_refused(spawn, keys, text):
    process = spawn("sign", "--key", keys["encrypted"], text, start_new_session=True)
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "pass --passin env:NAME" in err


#: Makes its standard input the terminal of the process, then runs its arguments.
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'pausable', *sys.argv[1:]])"
)


@pytest.mark.parametrize(("typed", "code"), [(PASSPHRASE, 0), ("wrong", 2)])
def test_passphrase_is_asked_for_on_the_terminal_and_not_shown(keys, text, typed, code):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "sign", "--key", keys["encrypted"], text],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    try:
        shown = b""
        while b"Passphrase of" not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, f"{typed}\n".encode())
        process.communicate()
        shown += os.read(ours, 1000)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert process.returncode == code
    assert typed.encode() not in shown


# -- files and targets -----------------------------------------------------------------------------


def test_file_that_does_not_exist_is_refused_before_anything_is_signed(refused, keys):
    line = refused("--key", keys["rsa"], "gone.txt", "gone too.txt")
    assert "'gone.txt' does not exist (nor do 1 others)" in line


def test_no_files_is_refused(pausable_cli, keys):
    ended = pausable_cli("sign", "--key", keys["rsa"])
    assert (ended.code, ended.err.count("\n")) == (2, 1)


def test_two_files_of_one_name_are_refused_with_out(refused, keys, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.txt").write_text(folder)
    line = refused("--key", keys["rsa"], "--out", "sigs", "x/b.txt", "y/b.txt")
    assert "'x/b.txt' and 'y/b.txt' would both be signed in 'sigs/b.txt.sig'" in line


def test_out_that_is_a_file_is_refused(refused, keys, text):
    assert "File exists" in refused("--key", keys["rsa"], "--out", text)


def test_out_that_cannot_be_made_is_refused(refused, keys):
    assert "--out '/proc/no' cannot" in refused("--key", keys["rsa"], "--out", "/proc/no")


def test_signature_never_overwrites_the_key(refused, keys, tmp_path):
    key = tmp_path / "a.txt.sig"
    key.write_bytes(keys["rsa"].read_bytes())
    assert "would overwrite the key" in refused("--key", "a.txt.sig")
    assert key.read_bytes() == keys["rsa"].read_bytes()


def _directory(path):
    path.mkdir()


def _named_pipe(path):
    os.mkfifo(path)


def _loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize("make", [_directory, _named_pipe, _loop])
def test_file_that_cannot_be_read_costs_itself_alone(
    pausable_cli, keys, files, tmp_path, make, leftovers
):
    paths = files(10)
    make(tmp_path / "bad")
    ended = pausable_cli("sign", "--key", keys["rsa"], *paths[:5], "bad", *paths[5:])
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("pausable: 'bad': ")
    assert all(keys.accepts("rsa", path, f"{path}.sig") for path in paths)
    assert leftovers() == []


def test_file_that_vanishes_costs_itself_alone(spawn, keys, files, leftovers):
    paths = files(10)
    args = ["--jobs", "1", "--latency-ms", "100", *(path.name for path in paths)]
    process = spawn("sign", "--key", keys["rsa"], *args)
    assert process.stdout.readline() == "signed '0.txt' in '0.txt.sig'\n"
    paths[-1].unlink()
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "pausable: '9.txt': No such file or directory\n")
    assert all(keys.accepts("rsa", path, f"{path}.sig") for path in paths[:-1])
    assert leftovers() == []


def test_signature_that_cannot_be_put_in_place_costs_its_file(
    pausable_cli, keys, files, tmp_path, leftovers
):
    good, bad = files(2)
    Path(f"{bad}.sig").mkdir()
    ended = pausable_cli("sign", "--key", keys["rsa"], good, bad)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "1.txt.sig' cannot be written: Is a directory" in ended.err
    assert leftovers() == []


class FailingToken:
    """A key whose operation fails for one text; its signatures are the texts themselves."""

    def sign(self, message):
        if message == b"fail":
            raise RuntimeError("the token\nis gone")
        return message


class WholeText:
    """Has the token sign whole files."""

    def read(self, file, size_bytes, check):
        return file.read()

    def arguments(self, message):
        return (message,)

    def verify(self, message, signature):
        return message == signature


@pytest.fixture
def sign_with_token():
    """Sign files with the failing token, with a report function."""

    def call(paths, jobs, report):
        run = Run(jobs)
        with ThreadPoolExecutor(jobs) as pool:
            place = Place("threads", pool, partial(sign_all, FailingToken()), here=True)
            signatures = DetachedSignatures(run, WholeText(), KeyEngine(run, place, 1))
            tasks = [Task(path, path.with_suffix(".sig")) for path in paths]
            run.each(signatures.sign, tasks, report)

    return call


def test_key_operation_that_fails_costs_its_file(files, sign_with_token):
    good, bad = files(2)
    bad.write_text("fail")
    outcomes = []
    sign_with_token([bad, good], 2, outcomes.append)
    assert sorted(outcomes, key=lambda outcome: outcome.path) == [
        Outcome(good, "signed", good.with_suffix(".sig")),
        Outcome(bad, "failed", None, "RuntimeError: the token is gone"),
    ]
    assert good.with_suffix(".sig").read_text() == good.read_text()


def test_report_that_fails_unwinds_every_job(files, leftovers, sign_with_token):
    class Full(Exception):
        pass

    def report(outcome):
        raise Full

    with pytest.raises(Full):
        sign_with_token(files(50), 8, report)
    assert pausable.thread_pool().stats().paused == 0
    assert leftovers() == []


def test_output_that_cannot_be_written_is_said_on_one_line(spawn, keys, text, leftovers):
    with Path("/dev/full").open("w") as full:
        process = spawn("sign", "--key", keys["rsa"], text, stdout=full)
    _, err = process.communicate()
    assert err == "pausable: the output cannot be written: No space left on device\n"
    assert (process.returncode, leftovers()) == (1, [])


#: Limits the size of files it may write, which fails as a full disk does, and runs its arguments.
FULL_DISK = (
    "import resource, signal, sys; from pausable.cli._main import run;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.exit(run(sys.argv[1:]))"
)


def test_disk_that_is_full_costs_the_file_and_leaves_nothing(python, keys, files, listing):
    ended = python("-c", FULL_DISK, "sign", "--key", keys["rsa"], *files(3))
    assert (ended.code, ended.err.count("\n")) == (1, 3)
    assert ended.err.count("cannot be written: File too large") == 3
    assert listing() == ["0.txt", "1.txt", "2.txt"]
