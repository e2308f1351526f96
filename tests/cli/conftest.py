import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pausable.cli._main import run

PASSPHRASE = "correct horse"

_PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"]


class Keys:
    """PEM files of every kind, and what `openssl` says about signatures made with them."""

    def __init__(self, folder):
        self._folder = folder
        rsa_key = rsa.generate_private_key(65537, 2048)
        self.save("rsa", rsa_key)
        self.save("encrypted", rsa_key, BestAvailableEncryption(PASSPHRASE.encode()))
        self.save("p256", ec.generate_private_key(ec.SECP256R1()))
        self.save("p384", ec.generate_private_key(ec.SECP384R1()))
        self.save("p521", ec.generate_private_key(ec.SECP521R1()))
        self.save("ed25519", ed25519.Ed25519PrivateKey.generate())
        self.save("x25519", x25519.X25519PrivateKey.generate())
        self.save("dsa", dsa.generate_private_key(1024))

    def save(self, name, key, encryption=None):
        pkcs8 = PrivateFormat.PKCS8
        pem = key.private_bytes(Encoding.PEM, pkcs8, encryption or NoEncryption())
        self[name].write_bytes(pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self[f"{name}.pub"].write_bytes(public)

    def make_pss_only(self, name):
        """Make a key that is for RSA-PSS alone; cryptography cannot."""
        genpkey = ["genpkey", "-quiet", "-algorithm", "RSA-PSS", "-out", self[name]]
        pkey = ["pkey", "-in", self[name], "-pubout", "-out", self[f"{name}.pub"]]
        for command in (genpkey, pkey):
            subprocess.run(["openssl", *command], capture_output=True, check=True)

    def __getitem__(self, name):
        return self._folder / f"{name}.pem"

    def accepts(self, name, path, signature, scheme=None, digest="sha256"):
        """Ask `openssl` whether the signature is valid."""
        pub = self[f"{name}.pub"]
        if name == "ed25519":
            command = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pub]
            command += ["-sigfile", signature, "-in", path]
        else:
            command = ["dgst", f"-{digest}", "-verify", pub, "-signature", signature]
            command += [*(_PSS if scheme == "pss" else []), path]
        done = subprocess.run(["openssl", *command], capture_output=True, check=False)
        return done.returncode == 0


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def pausable_cli(capfd, monkeypatch, tmp_path):
    """Run `pausable ARGS` in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        code = run([str(arg) for arg in args])
        sys.stdout.flush()
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def spawn(tmp_path):
    """Start `pausable ARGS` as a process, in an empty directory."""
    started = []
    pipes = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }

    def start(*args, **kwargs):
        process = subprocess.Popen(
            [sys.executable, "-m", "pausable", *map(str, args)],
            cwd=tmp_path,
            text=True,
            **(pipes | kwargs),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # waits, and closes the pipes
            pass


@pytest.fixture
def python(tmp_path):
    """Run `python ARGS` as a process, in an empty directory."""

    def call(*args, program=(sys.executable,)):
        command = [*program, *map(str, args)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def files(tmp_path):
    """Make so many small files in the working directory."""

    def make(count):
        paths = [tmp_path / f"{number}.txt" for number in range(count)]
        for path in paths:
            path.write_text(f"the text of {path.name}\n")
        return paths

    return make


@pytest.fixture
def listing(tmp_path):
    """List the names in the working directory, in order."""
    return lambda: sorted(path.name for path in tmp_path.iterdir())


@pytest.fixture
def leftovers(listing):
    """List the hidden files in the working directory."""
    return lambda: [name for name in listing() if name.startswith(".")]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello\n")
    return path


@pytest.fixture
def signature(text):
    return Path(f"{text}.sig")
