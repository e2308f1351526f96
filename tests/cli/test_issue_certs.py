"""What `pausable issue-certs` issues, skips, refuses, and reports."""

import datetime
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

KINDS = ["rsa", "p256", "p384", "ed25519"]


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _digest(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


class CA:
    """A folder with a CA's files and requests, and what `openssl` says of the certificates."""

    def __init__(self, folder, keys):
        self.folder, self.keys = folder, keys
        self.requests, self.out = folder / "requests", folder / "certs"
        self.requests.mkdir()
        self.client_key = ec.generate_private_key(ec.SECP256R1())
        for kind in KINDS:
            self.certify(kind)

    def certify(self, kind, name=None, *, is_ca=True, days=365):
        key = load_pem_private_key(self.keys[kind].read_bytes(), None)
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(_name("ours")).issuer_name(_name("ours"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=400))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        constraints = x509.BasicConstraints(ca=is_ca, path_length=None)
        certificate = builder.add_extension(constraints, critical=True).sign(key, _digest(key))
        self[name or kind].write_bytes(certificate.public_bytes(Encoding.PEM))

    def __getitem__(self, kind):
        return self.folder / f"ca-{kind}.pem"

    def request(self, name, key=None, *, form=Encoding.PEM, subject=None, extension=None):
        """Write a request."""
        key = key or self.client_key
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject or name))
        alternative = x509.SubjectAlternativeName([x509.DNSName(f"{name}.example")])
        builder = builder.add_extension(extension or alternative, critical=False)
        path = self.requests / name
        path.write_bytes(builder.sign(key, _digest(key)).public_bytes(form))
        return path

    def args(self, kind="p256", key=None):
        """Return the arguments for a run."""
        files = ["--ca", self[kind], "--ca-key", key or self.keys[kind]]
        return ["issue-certs", *files, "--csr-dir", self.requests, "--out-dir", self.out]

    def verified(self, kind="p256"):
        """Return the names of the certificates, all of which `openssl` accepts."""
        paths = sorted(self.out.iterdir())
        command = ["openssl", "verify", "-CAfile", self[kind], *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(": OK\n") == len(paths)
        return [path.name for path in paths]

    def issued(self, name):
        return x509.load_pem_x509_certificate((self.out / name).read_bytes())


@pytest.fixture
def ca(tmp_path, keys):
    return CA(tmp_path, keys)


@pytest.mark.parametrize(
    ("kind", "engine"), [*((kind, "threads") for kind in KINDS), ("rsa", "processes")]
)
def test_openssl_accepts_every_certificate(pausable_cli, ca, kind, engine):
    ca.request("a.csr", rsa.generate_private_key(65537, 2048))
    ca.request("b.pem", ed25519.Ed25519PrivateKey.generate(), form=Encoding.DER)
    ca.request("c.req")
    (ca.requests / "notes.txt").write_text("not a request")
    ended = pausable_cli(*ca.args(kind), "--engine", engine, "--days", "10")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1].startswith(
        "3 requests: 3 issued, 0 skipped, 0 refused, 0 failed, in "
    )
    assert ca.verified(kind) == ["a.crt", "b.crt", "c.crt"]
    certificate = ca.issued("c.crt")
    assert certificate.subject == _name("c.req")
    assert certificate.public_key() == ca.client_key.public_key()
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime == datetime.timedelta(days=10)


def test_as_many_requests_as_jobs_are_in_flight_on_one_thread(pausable_cli, ca):
    for number in range(40):
        ca.request(f"{number}.csr")
    args = ["--jobs", "8", "--latency-ms", "5", "--batch", "4", "--json"]
    report = json.loads(pausable_cli(*ca.args(), *args).out)
    assert (report["issued"], report["failed"]) == (40, 0)
    assert report["most_paused_at_once"] == 8
    assert report["threads_running_jobs"] == 1
    assert max(map(int, report["operations_per_trip"])) == 4
    assert len(ca.verified()) == 40


def test_digest_is_the_one_asked_for(pausable_cli, ca):
    ca.request("a.csr")
    assert pausable_cli(*ca.args("rsa"), "--digest", "sha512").code == 0
    assert ca.issued("a.crt").signature_hash_algorithm.name == "sha512"


def test_request_can_be_a_link_and_the_key_encrypted(pausable_cli, ca, keys, monkeypatch):
    (ca.requests / "link.csr").symlink_to(ca.request("a.txt"))
    monkeypatch.setenv("KEY_PASS", "correct horse")
    args = [*ca.args("rsa", keys["encrypted"]), "--passin", "env:KEY_PASS"]
    assert pausable_cli(*args, "--engine", "processes").code == 0
    assert ca.verified("rsa") == ["link.crt"]


# -- what is there already -------------------------------------------------------------------------


def test_valid_certificate_is_skipped_and_stays(pausable_cli, ca):
    ca.request("a.csr")
    pausable_cli(*ca.args())
    before = (ca.out / "a.crt").read_bytes()
    ended = pausable_cli(*ca.args())
    assert (ended.code, "0 issued, 1 skipped" in ended.out) == (0, True)
    assert (ca.out / "a.crt").read_bytes() == before


def _truncated(ca):
    path = ca.out / "a.crt"
    path.write_bytes(path.read_bytes()[:-60])


def _for_another_key(ca):
    ca.request("a.csr", ec.generate_private_key(ec.SECP256R1()))


def _for_another_name(ca):
    ca.request("a.csr", subject="somebody else")


def _for_other_alternative_names(ca):
    other = x509.SubjectAlternativeName([x509.DNSName("other.example")])
    ca.request("a.csr", extension=other)


def _of_another_ca(ca):
    path = ca.out / "a.crt"
    path.write_bytes(ca["p384"].read_bytes())


def _named_pipe(ca):
    (ca.out / "a.crt").unlink()
    os.mkfifo(ca.out / "a.crt")


@pytest.mark.parametrize(
    "spoil",
    [
        _truncated,
        _for_another_key,
        _for_another_name,
        _for_other_alternative_names,
        _of_another_ca,
        _named_pipe,
    ],
)
def test_certificate_that_does_not_fit_is_replaced(pausable_cli, ca, spoil):
    ca.request("a.csr")
    pausable_cli(*ca.args())
    spoil(ca)
    ended = pausable_cli(*ca.args())
    assert (ended.code, "1 issued" in ended.out) == (0, True)
    assert ca.verified() == ["a.crt"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_is_continued_and_leaves_nothing(pausable_cli, spawn, ca, how):
    for number in range(100):
        ca.request(f"{number}.csr")
    args = ["--engine", "processes", "--latency-ms", "20"]
    process = spawn(*ca.args(), *args)
    for _ in range(5):
        assert process.stdout.readline().startswith("issued")
    process.send_signal(how)
    _, err = process.communicate()
    done = len(ca.verified()) if how == signal.SIGINT else len(list(ca.out.glob("*.crt")))
    assert 5 <= done < 100
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert err == f"pausable: interrupted; {done} requests were issued; run it again to go on\n"
    report = json.loads(pausable_cli(*ca.args(), "--json").out)
    assert (report["skipped"], report["issued"]) == (done, 100 - done)
    assert len(ca.verified()) == 100


# -- requests that are bad -------------------------------------------------------------------------


def _damaged(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def _empty(path):
    path.write_bytes(b"")


def _no_pem(path):
    path.write_text("hello")


def _broken_pem(path):
    path.write_text("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n")


def _huge(path):
    with path.open("wb") as file:
        file.truncate(10_000_000_000)


def _directory(path):
    path.unlink()
    path.mkdir()


def _fifo(path):
    path.unlink()
    os.mkfifo(path)


def _loop(path):
    path.unlink()
    path.symlink_to(path)


def _gone(path):
    path.unlink()
    path.symlink_to("gone")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_damaged, "its signature is wrong"),
        (_empty, "it is empty"),
        (_no_pem, "it is no certificate request in PEM or DER"),
        (_broken_pem, "it is no certificate request in PEM or DER"),
        (_huge, "it has more than 262144 bytes"),
        (_directory, "it is a directory"),
        (_fifo, "is not a regular file"),
        (_loop, "Too many levels of symbolic links"),
        (_gone, "No such file or directory"),
    ],
)
def test_bad_request_is_reported_by_name_and_costs_itself(pausable_cli, ca, spoil, says):
    for name in ("a.csr", "c.csr"):
        ca.request(name)
    spoil(ca.request("bad.csr", form=Encoding.DER))
    ended = pausable_cli(*ca.args())
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith(f"pausable: '{ca.requests}/bad.csr': ")
    assert says in ended.err
    assert ca.verified() == ["a.crt", "c.crt"]


def test_weak_and_greedy_requests_are_refused(pausable_cli, ca):
    ca.request("weak.csr", rsa.generate_private_key(65537, 1024))
    ca.request("greedy.csr", extension=x509.BasicConstraints(ca=True, path_length=None))
    ended = pausable_cli(*ca.args(), "--json")
    report = json.loads(ended.out)
    assert (ended.code, report["refused"], report["issued"]) == (1, 2, 0)
    reasons = {Path(each["request"]).name: each["reason"] for each in report["requests"]}
    assert "1024 bits" in reasons["weak.csr"]
    assert "asks for a CA's certificate" in reasons["greedy.csr"]


#: Limits the size of files it may write, which fails as a full disk does, and runs its arguments.
FULL_DISK = (
    "import resource, signal, sys; from pausable.cli._main import run;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.exit(run(sys.argv[1:]))"
)


def test_disk_that_is_full_costs_the_request_and_keeps_what_there_was(python, pausable_cli, ca):
    ca.request("a.csr")
    pausable_cli(*ca.args())
    before = (ca.out / "a.crt").read_bytes()
    ca.request("a.csr", subject="another")
    ended = python("-c", FULL_DISK, *ca.args())
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "a.crt' cannot be written: File too large" in ended.err
    assert (ca.out / "a.crt").read_bytes() == before
    assert os.listdir(ca.out) == ["a.crt"]  # noqa: PTH208


# -- runs that are refused -------------------------------------------------------------------------


@pytest.fixture
def refused(pausable_cli, ca):
    """Run it with one request; return the one line that it is refused with."""

    def call(*args):
        ca.request("a.csr")
        ended = pausable_cli(*args)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert not list(ca.folder.glob("certs/*"))
        return ended.err

    return call


def test_key_of_another_ca_is_refused(refused, ca, keys):
    assert "is not the key of the certificate" in refused(*ca.args("p256", keys["p384"]))


def test_certificate_that_is_no_cas_is_refused(refused, ca, keys):
    ca.certify("p256", "none", is_ca=False)
    assert "is no CA's" in refused(*ca.args("none", keys["p256"]))


def test_ca_that_has_expired_is_refused(refused, ca, keys):
    ca.certify("p256", "old", days=-1)
    line = refused(*ca.args("old", keys["p256"]))
    assert "is not valid since" in line
    assert "renew it" in line


def test_file_that_is_no_certificate_is_refused(refused, ca, keys):
    ca["none"].write_text("hello")
    assert "is no certificate in PEM format" in refused(*ca.args("none", keys["p256"]))


def test_ca_that_is_not_there_is_refused(refused, ca, keys):
    assert "cannot be read: No such file" in refused(*ca.args("gone", keys["p256"]))


def test_digest_is_refused_for_ed25519(refused, ca):
    line = refused(*ca.args("ed25519"), "--digest", "sha512")
    assert "--digest is not for Ed25519 keys; omit it" in line


@pytest.mark.parametrize("days", ["0", "-1", "40000", "ten"])
def test_bad_days_are_refused(refused, ca, days):
    assert "--days" in refused(*ca.args(), "--days", days)


def test_two_requests_for_one_certificate_are_refused(refused, ca):
    ca.request("a.pem")
    assert "a.csr' and '" in (line := refused(*ca.args()))
    assert "would both be certified in" in line
    assert "rename one" in line


def test_folder_without_requests_is_refused(pausable_cli, ca):
    ended = pausable_cli(*ca.args())
    assert (ended.code, "has no requests" in ended.err) == (2, True)


def test_folder_that_is_not_there_is_refused(refused, ca):
    assert "cannot be listed: No such file" in refused(*ca.args(), "--csr-dir", "gone")


def test_the_cas_own_files_are_left_out_and_not_overwritten(pausable_cli, ca):
    ca.request("a.csr")
    own = ca.requests / "ca.pem"
    own.write_bytes(ca["p256"].read_bytes())
    ended = pausable_cli(*ca.args(), "--ca", own)
    assert (ended.code, "1 issued, 1 skipped" in ended.out) == (0, True)
    precious = ca.out / "a.crt"
    precious.write_bytes(ca["p256"].read_bytes())
    ended = pausable_cli(*ca.args(), "--ca", precious)
    assert (ended.code, "would overwrite the CA's certificate" in ended.err) == (2, True)
    assert precious.read_bytes() == ca["p256"].read_bytes()


def test_help_shows_an_example_and_the_exit_codes(pausable_cli):
    ended = pausable_cli("issue-certs", "--help")
    assert "openssl verify -CAfile CA.pem certs/a.crt\n" in ended.out
    assert "1    some request was refused" in ended.out
