"""What `pausable issue-tokens` issues, refuses, and reports; PyJWT is the judge."""

import json
import os
import signal
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

KINDS = [
    ("rsa", None, "RS256"),
    ("rsa", "PS512", "PS512"),
    ("p256", None, "ES256"),
    ("p384", None, "ES384"),
    ("p521", None, "ES512"),
    ("ed25519", None, "EdDSA"),
]


@pytest.fixture
def claims(tmp_path):
    """Write a file of claims, a line each; return it."""

    def write(*lines):
        path = tmp_path / "claims.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{text}\n" for text in texts))
        return path

    return write


def _verified(keys, kind, tokens, algorithm):
    public = keys[f"{kind}.pub"].read_text()
    return [jwt.decode(token, public, [algorithm]) for token in tokens.splitlines()]


@pytest.mark.parametrize(
    ("kind", "asked", "algorithm", "engine"),
    [*((*kind, "threads") for kind in KINDS), (*KINDS[0], "processes")],
)
def test_pyjwt_accepts_every_token_in_order(
    pausable_cli, keys, claims, kind, asked, algorithm, engine
):
    wanted = [{"sub": f"user {number}", "n": number} for number in range(100)]
    args = ["--key", keys[kind], "--claims", claims(*wanted), "--engine", engine, "--batch", "8"]
    options = [] if asked is None else ["--alg", asked]
    ended = pausable_cli("issue-tokens", *args, *options)
    assert ended.code == 0
    assert _verified(keys, kind, ended.out, algorithm) == wanted
    assert ended.err.startswith("100 lines: 100 issued, 0 failed, in ")
    assert " of at most 8 in each\n" in ended.err


def test_out_gets_the_tokens_whole(pausable_cli, keys, claims, tmp_path, leftovers):
    (tmp_path / "tokens").write_text("old")
    args = ["--key", keys["p256"], "--claims", claims({"a": 1}, "bad", {"b": 2})]
    ended = pausable_cli("issue-tokens", *args, "--out", "tokens")
    assert ended.code == 1
    assert ended.out.startswith("3 lines: 2 issued, 1 failed")
    tokens = (tmp_path / "tokens").read_text()
    assert _verified(keys, "p256", tokens, "ES256") == [{"a": 1}, {"b": 2}]
    assert leftovers() == []


def test_issuer_and_expiry_are_added_where_the_claims_have_none(pausable_cli, keys, claims):
    path = claims({"sub": "a"}, {"iss": "own", "exp": 4_000_000_000})
    args = ["--key", keys["rsa"], "--claims", path, "--issuer", "me", "--expires-in", "60"]
    before = int(time.time())
    first, second = _verified(keys, "rsa", pausable_cli("issue-tokens", *args).out, "RS256")
    assert (first["iss"], first["exp"] - first["iat"]) == ("me", 60)
    assert before <= first["iat"] <= time.time()
    assert (second["iss"], second["exp"]) == ("own", 4_000_000_000)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "is empty"),
        ("nope", "is no JSON"),
        ('{"a": 1', "is no JSON"),
        ("[1]", "is no JSON object"),
        ('{"a": NaN}', "has NaN"),
        ('{"a": 1, "a": 2}', "has 'a' twice"),
        ('{"exp": "tomorrow"}', "has 'exp' as \"tomorrow\"; write seconds since 1970"),
        ('{"nbf": true}', "has 'nbf' as true"),
        ('{"iss": 7}', "has 'iss' as 7; write a string"),
        ('{"a": ' + "[" * 100_000, "is nested too deeply"),
        ('{"a": "' + "x" * 300_000 + '"}', "is longer than 262144 bytes"),
        ('{"a": "' + "x" * 3_000_000 + '"}', "is longer than 262144 bytes"),
        ('{"a": ' + "1" * 10_000 + "}", "is no JSON"),
    ],
    ids=lambda value: value[:20],
)
def test_bad_line_is_reported_by_number_and_costs_itself(pausable_cli, keys, claims, line, says):
    args = ["--key", keys["p256"], "--claims", claims({"a": 1}, line, {"b": 2})]
    ended = pausable_cli("issue-tokens", *args)
    assert ended.code == 1
    assert _verified(keys, "p256", ended.out, "ES256") == [{"a": 1}, {"b": 2}]
    reported, summary = ended.err.splitlines()
    assert reported.startswith("pausable: line 2: ")
    assert says in reported
    assert summary.startswith("3 lines: 2 issued, 1 failed")


def test_line_that_is_no_text_is_reported(pausable_cli, keys, tmp_path):
    (tmp_path / "claims").write_bytes(b'{"a": "\xff"}\r\n{"a": 1}\r\n{"b": 2}')
    ended = pausable_cli("issue-tokens", "--key", keys["p256"], "--claims", "claims")
    assert "line 1: is not in UTF-8: byte 8 is 0xff" in ended.err
    assert _verified(keys, "p256", ended.out, "ES256") == [{"a": 1}, {"b": 2}]


def test_jobs_that_only_wait_for_a_line_are_not_counted_as_paused(pausable_cli, keys, claims):
    args = ["--key", keys["p256"], "--claims", claims({"a": 1}), "--jobs", "3"]
    assert "; up to 1 paused at once" in pausable_cli("issue-tokens", *args).err


def test_no_lines_are_no_tokens(pausable_cli, keys, claims):
    ended = pausable_cli("issue-tokens", "--key", keys["p256"], "--claims", claims())
    assert (ended.code, ended.out) == (0, "")


def test_tokens_come_while_standard_input_is_still_open(spawn, keys):
    ours, theirs = os.pipe()
    process = spawn("issue-tokens", "--key", keys["p256"], "--claims", "-", stdin=ours)
    os.close(ours)
    for number in range(3):
        os.write(theirs, json.dumps({"n": number}).encode() + b"\n")
        assert _verified(keys, "p256", process.stdout.readline(), "ES256") == [{"n": number}]
    os.close(theirs)
    _, err = process.communicate()
    assert (process.returncode, "3 issued" in err) == (0, True)


def test_ctrl_c_ends_a_run_that_waits_for_standard_input(spawn, keys):
    ours, theirs = os.pipe()
    process = spawn("issue-tokens", "--key", keys["p256"], "--claims", "-", stdin=ours)
    os.close(ours)
    os.write(theirs, b"{}\n")
    assert process.stdout.readline().count(".") == 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    os.close(theirs)
    assert process.returncode == 130
    assert err == "pausable: interrupted; 1 tokens were printed\n"


def test_ctrl_c_leaves_the_old_file(spawn, keys, claims, tmp_path, leftovers):
    (tmp_path / "tokens").write_text("old")
    args = ["--key", keys["p256"], "--claims", claims({}, {}), "--latency-ms", "3600000"]
    process = spawn("issue-tokens", *args, "--out", "tokens")
    while not leftovers():  # it has begun
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, (tmp_path / "tokens").read_text()) == (130, "old")
    assert err == "pausable: interrupted; 0 tokens were made, none is in 'tokens'\n"
    assert leftovers() == []


def test_output_that_cannot_be_written_is_said_on_one_line(spawn, keys, claims):
    with Path("/dev/full").open("w") as full:
        args = ["--key", keys["p256"], "--claims", claims({}, {})]
        process = spawn("issue-tokens", *args, stdout=full)
    _, err = process.communicate()
    assert err == "pausable: the output cannot be written: No space left on device\n"
    assert process.returncode == 1


#: Limits the size of files it may write, which fails as a full disk does, and runs its arguments.
FULL_DISK = (
    "import resource, signal, sys; from pausable.cli._main import run;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.exit(run(sys.argv[1:]))"
)


def test_disk_that_is_full_keeps_the_old_file(python, keys, claims, tmp_path, leftovers):
    (tmp_path / "tokens").write_text("old")
    args = ["--key", keys["p256"], "--claims", claims({}, {}), "--out", "tokens"]
    ended = python("-c", FULL_DISK, "issue-tokens", *args)
    assert ended.err == "pausable: the output cannot be written: File too large\n"
    assert (ended.code, (tmp_path / "tokens").read_text(), leftovers()) == (1, "old", [])


@pytest.fixture
def refused(pausable_cli, claims, listing):
    """Run it with one line; return the one line that it is refused with."""

    def call(*args):
        path = claims({})
        before = listing()
        ended = pausable_cli("issue-tokens", "--claims", path, *args)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert listing() == before
        return ended.err

    return call


@pytest.mark.parametrize(
    ("kind", "algorithm", "says"),
    [
        ("rsa", "ES256", "pass --alg RS256 or RS384"),
        ("p384", "ES256", "pass --alg ES384, or omit it"),
        ("ed25519", "RS256", "pass --alg EdDSA, or omit it"),
    ],
)
def test_algorithm_that_is_not_for_the_key_is_refused(refused, keys, kind, algorithm, says):
    assert says in refused("--key", keys[kind], "--alg", algorithm)


def test_key_that_signs_no_tokens_is_refused(refused, keys):
    assert "which signs no tokens" in refused("--key", keys["x25519"])


def test_weak_key_is_refused(refused, keys):
    keys.save("rsa-1024", rsa.generate_private_key(65537, 1024))
    assert "has 1024 bits, and tokens need 2048" in refused("--key", keys["rsa-1024"])


@pytest.mark.parametrize(
    ("option", "value"),
    [("--alg", "none"), ("--alg", "HS256"), ("--expires-in", "0"), ("--expires-in", "1h")],
)
def test_bad_option_is_refused(refused, keys, option, value):
    assert option in refused("--key", keys["p256"], option, value)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("/dev/full", "is no regular file"),
        (".", "is no regular file"),
        ("no/tokens", "is in a directory that does not exist"),
        ("./claims.jsonl", "would overwrite the claims"),
    ],
)
def test_out_that_cannot_be_is_refused(refused, keys, out, says):
    assert says in refused("--key", keys["p256"], "--out", out)


@pytest.mark.parametrize(("path", "says"), [("gone", "No such file"), (".", "is a directory")])
def test_claims_that_cannot_be_read_are_refused(refused, keys, path, says):
    assert says in refused("--key", keys["p256"], "--claims", path)


def test_missing_pyjwt_is_named(python, keys, claims):
    code = "import sys; sys.modules['jwt'] = None; from pausable.__main__ import main; main()"
    ended = python("-c", code, "issue-tokens", "--key", keys["p256"], "--claims", claims({}))
    assert (ended.code, ended.err) == (
        2,
        "pausable: the command line needs PyJWT: pip install 'pausable[cli]'\n",
    )
