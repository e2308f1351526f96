"""Bad keys and bad engines: a clear error each, and the pool as it was."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import dh, dsa, ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import pausable
from keys.test_kinds import REMOTE
from pausable import EngineError
from pausable.engines import BatchEngine
from pausable.keys import RemoteEd25519Key, pausing
from pausable.testing import FakeEngine

ENGINE = FakeEngine()


def key_object(kind, local):
    pem = local["P-256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "DSA": lambda: dsa.generate_private_key(1024),
        "public": local["P-256"].public_key,
        "PEM": lambda: pem,
        "DH": lambda: dh.generate_parameters(2, 512).generate_private_key(),
        "None": lambda: None,
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("DSA", ""),
        ("public", "it is a public key"),
        ("PEM", "load_pem_private_key"),
        ("DH", ""),
        ("None", ""),
    ],
)
@pytest.mark.filterwarnings("ignore:Diffie-Hellman over")
def test_another_kind_of_key(local, kind, hint):
    with pytest.raises(TypeError, match=f"{hint}.*RSA, EC, Ed25519, Ed448, X25519 or X448"):
        pausing(key_object(kind, local), ENGINE)


def test_the_pem_of_a_key_is_not_shown(local):
    pem = key_object("PEM", local)
    with pytest.raises(TypeError) as caught:
        pausing(pem, ENGINE)
    assert "BEGIN" not in str(caught.value)


def test_a_key_that_pauses_already(local):
    key = pausing(local["RSA"], ENGINE)
    with pytest.raises(TypeError, match="RSA 2048 bits> pauses already"):
        pausing(key, ENGINE)
    with pytest.raises(TypeError, match="pauses already"):
        pausing(RemoteEd25519Key(local["Ed25519"].public_key(), ENGINE), ENGINE)


@pytest.mark.parametrize("engine", [None, 5, "threads", ThreadPoolExecutor, lambda fn: fn()])
def test_an_engine_without_submit(local, engine):
    with pytest.raises(TypeError, match=r"engine has to have submit.*ThreadPoolExecutor\(64\)"):
        pausing(local["RSA"], engine)


def test_an_engine_that_takes_no_functions_is_refused(local):
    with BatchEngine(list, 4) as engine, pytest.raises(TypeError, match="an engine of functions"):
        pausing(local["RSA"], engine)


class BadEngine:
    """Does with an operation what it was made for."""

    def __init__(self, submit):
        self.submit = submit

    def __repr__(self):
        return "<BadEngine>"


def raises(_fn, *_args):
    raise OSError("no route to the device")


def drops(_fn, *_args):
    future = Future()
    future.cancel()
    return future


def answers(value):
    def submit(_fn, *_args):
        future = Future()
        future.set_result(value)
        return future

    return submit


@pytest.mark.parametrize(
    ("submit", "text"),
    [
        (raises, r"could not sign: <BadEngine> refused it \(OSError\('no route to the device'\)\)"),
        (lambda *_: None, "submit of <BadEngine> returned a NoneType; it has to return a future"),
        (lambda *_: b"signature", "returned a bytes; it has to return a future"),
        (drops, "<BadEngine> dropped it"),
        (answers(None), "returned a NoneType, not bytes"),
        (answers("text"), "returned a str, not bytes"),
        (answers(b"short"), "returned 5 bytes, and 64 are what this key yields"),
    ],
)
def test_an_engine_that_fails(local, submit, text):
    key = pausing(local["Ed25519"], BadEngine(submit))
    before = pausable.thread_pool().stats()
    job = pausable.start(key.sign, b"data")
    assert job.done()
    with pytest.raises(EngineError, match=text):
        job.result()
    with pytest.raises(EngineError, match=text):
        key.sign(b"data")
    after = pausable.thread_pool().stats()
    assert (after.paused, after.running) == (before.paused, before.running) == (0, 0)
    assert pausable.run_blocking(pausing(local["Ed25519"], BadEngine(answers(bytes(64)))).sign, b"")


OPERATIONS = {
    "RSA": (256, lambda key: key.sign(b"", padding.PKCS1v15(), SHA256())),
    "P-256": (32, lambda key: key.exchange(ec.ECDH(), key.public_key())),
    "Ed25519": (64, lambda key: key.sign(b"")),
    "Ed448": (114, lambda key: key.sign(b"")),
    "X25519": (32, lambda key: key.exchange(key.public_key())),
    "X448": (56, lambda key: key.exchange(key.public_key())),
}


@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_result_of_another_length_is_none_of_the_key_s(local, kind, where):
    def use(answer):
        engine = BadEngine(answers(answer))
        if where == "local":
            return operate(pausing(local[kind], engine))
        return operate(REMOTE[kind](local[kind].public_key(), engine))

    size_bytes, operate = OPERATIONS[kind]
    assert use(bytes(size_bytes)) == bytes(size_bytes)
    for wrong in (size_bytes - 1, size_bytes + 1):
        with pytest.raises(EngineError, match=f"{wrong} bytes, and {size_bytes} are what this key"):
            use(bytes(wrong))


def test_an_engine_that_fails_is_the_cause(local):
    with pytest.raises(EngineError) as caught:
        pausing(local["Ed25519"], BadEngine(raises)).sign(b"")
    assert isinstance(caught.value.__cause__, OSError)


def test_an_engine_s_own_refusal_is_not_wrapped(local):
    def full(*_args):
        raise pausable.NoJobsAvailable("try again")

    with pytest.raises(pausable.NoJobsAvailable, match=r"^try again$"):
        pausing(local["Ed25519"], BadEngine(full)).sign(b"")


def test_an_executor_that_is_closed(local):
    engine = ThreadPoolExecutor(1)
    key = pausing(local["Ed25519"], engine)
    engine.shutdown()
    with pytest.raises(EngineError, match="cannot schedule new futures after shutdown"):
        pausable.run_blocking(key.sign, b"")


def test_an_executor_that_is_closed_while_jobs_wait(local):
    from threading import Event

    engine, block = ThreadPoolExecutor(1), Event()
    first = engine.submit(block.wait, 30)
    key = pausing(local["Ed25519"], engine)
    jobs = [pausable.start(key.sign, b"") for _ in range(10)]
    assert pausable.thread_pool().stats().paused == 10
    engine.shutdown(wait=False, cancel_futures=True)
    for job in jobs:
        job.resume()
        with pytest.raises(EngineError, match="dropped it; use an engine that stays open"):
            job.result()
    block.set()
    assert first.result()
    assert pausable.thread_pool().stats().paused == 0


def test_what_the_operation_raises_comes_out_as_it_is(local):
    def fails(_fn, *_args):
        future = Future()
        future.set_exception(PermissionError("the PIN is wrong"))
        return future

    key = pausing(local["RSA"], BadEngine(fails))
    with pytest.raises(PermissionError, match=r"^the PIN is wrong$"):
        pausable.run_blocking(key.sign, b"", padding.PKCS1v15(), SHA256())


def test_an_engine_that_never_completes_leaves_the_job_to_be_cancelled(local):
    key = pausing(local["P-256"], BadEngine(lambda *_: Future()))
    job = pausable.start(key.sign, b"", ec.ECDSA(SHA256()))
    job.close()
    assert job.cancelled()


@pytest.mark.hazard("C1")
def test_an_old_cryptography_is_refused_with_the_reason(tmp_path):
    """Stands in for an old release, which cannot be in one environment with a new one."""
    package = tmp_path / "cryptography"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '42.0.8'")
    program = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        try:
            import pausable.keys
        except ImportError as exc:
            print(exc)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("pausable.keys needs cryptography 43 or later, and 42.0.8 is")
    assert "makes wrong signatures without an error" in done.stdout
