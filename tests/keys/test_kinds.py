"""Each kind of key does through an engine what it does without one."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    padding,
    rsa,
    utils,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

import pausable
from pausable import keys
from pausable.keys import pausing
from pausable.testing import FakeEngine

CLASSES = {
    "RSA": rsa.RSAPrivateKey,
    "P-256": ec.EllipticCurvePrivateKey,
    "Ed25519": ed25519.Ed25519PrivateKey,
    "Ed448": ed448.Ed448PrivateKey,
    "X25519": x25519.X25519PrivateKey,
    "X448": x448.X448PrivateKey,
}
REMOTE = {
    "RSA": keys.RemoteRSAKey,
    "P-256": keys.RemoteECKey,
    "Ed25519": keys.RemoteEd25519Key,
    "Ed448": keys.RemoteEd448Key,
    "X25519": keys.RemoteX25519Key,
    "X448": keys.RemoteX448Key,
}
PSS = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), b"label")
DIGEST = bytes(range(32))
PREHASHED = utils.Prehashed(SHA256())

#: kind, arguments of sign
SIGNS = [
    ("RSA", (b"data", padding.PKCS1v15(), SHA256())),
    ("RSA", (b"data", padding.PKCS1v15(), SHA384())),
    ("RSA", (b"data", PSS, SHA256())),
    ("RSA", (b"data", padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH), SHA256())),
    ("RSA", (DIGEST, padding.PKCS1v15(), PREHASHED)),
    ("RSA", (DIGEST, PSS, PREHASHED)),
    ("P-256", (b"data", ec.ECDSA(SHA256()))),
    ("P-256", (DIGEST, ec.ECDSA(PREHASHED))),
    ("Ed25519", (b"data",)),
    ("Ed448", (b"data",)),
]


@pytest.fixture(scope="module")
def engine():
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.mark.hazard("C6")
def test_the_parameters_are_named_as_in_cryptography():
    for kind, cls in CLASSES.items():
        for wrapper in (type(_pausing_any(kind)), REMOTE[kind]):
            for name in cls.__abstractmethods__:
                theirs, ours = getattr(cls, name), getattr(wrapper, name)
                assert not getattr(ours, "__isabstractmethod__", False), (wrapper, name)
                if isinstance(theirs, property):
                    assert isinstance(ours, property)
                else:
                    parameters = list(inspect.signature(theirs).parameters)
                    assert list(inspect.signature(ours).parameters) == parameters, (wrapper, name)


def _pausing_any(kind):
    if kind == "RSA":
        return pausing(rsa.generate_private_key(65537, 1024), FakeEngine())
    if kind == "P-256":
        return pausing(ec.generate_private_key(ec.SECP256R1()), FakeEngine())
    return pausing(CLASSES[kind].generate(), FakeEngine())


@pytest.mark.parametrize(("kind", "args"), SIGNS)
def test_a_signature_is_one_of_the_key(local, engine, kind, args):
    key = pausing(local[kind], engine)
    signature = pausable.run_blocking(key.sign, *args)
    local[kind].public_key().verify(signature, *args)


def test_arguments_may_be_passed_by_name(local, engine):
    key = pausing(local["RSA"], engine)
    key.sign(data=b"x", padding=PSS, algorithm=SHA256())
    key = pausing(local["P-256"], engine)
    key.sign(data=b"x", signature_algorithm=ec.ECDSA(SHA256()))
    key.exchange(algorithm=ec.ECDH(), peer_public_key=key.public_key())


@pytest.mark.parametrize("pad", [padding.PKCS1v15(), OAEP], ids=["PKCS1v15", "OAEP"])
def test_rsa_decrypts(local, engine, pad):
    key = pausing(local["RSA"], engine)
    ciphertext = key.public_key().encrypt(b"secret", pad)
    assert pausable.run_blocking(key.decrypt, ciphertext, pad) == b"secret"


def test_a_bad_ciphertext_raises_what_the_local_key_raises(local, engine):
    key = pausing(local["RSA"], engine)
    with pytest.raises(ValueError, match="Decryption failed"):
        pausable.run_blocking(key.decrypt, bytes(255) + b"\1", OAEP)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "X25519", "X448"])
def test_both_sides_of_an_exchange_have_one_secret(local, engine, kind):
    args = (ec.ECDH(),) if kind.startswith("P") else ()
    peer = ec.generate_private_key(local[kind].curve) if args else CLASSES[kind].generate()
    key = pausing(local[kind], engine)
    secret = pausable.run_blocking(key.exchange, *args, peer.public_key())
    assert secret == peer.exchange(*args, local[kind].public_key())


def test_the_public_part_needs_no_engine(local):
    for kind, private in local.items():
        key = pausing(private, FakeEngine())
        assert key.public_key() == private.public_key()
        if kind in ("RSA", "P-256"):
            assert key.key_size == private.key_size
        if kind == "P-256":
            assert key.curve.name == "secp256r1"


def test_the_job_is_paused_until_the_engine_has_signed(local):
    engine = FakeEngine()
    key = pausing(local["Ed25519"], engine)
    with pausable.start(key.sign, b"data") as job:
        job.resume()
        assert job.paused
        engine.run("sign-1")
        job.resume()
        key.public_key().verify(job.result(), b"data")


def test_a_cancelled_job_takes_its_operation_back(local):
    engine = FakeEngine()
    job = pausable.start(pausing(local["Ed25519"], engine).sign, b"data")
    operation = engine.operation("sign-1")
    job.cancel()
    job.close()
    assert job.cancelled()
    assert operation.cancelled()


def test_cancelling_crosses_the_builders_and_libraries(local):
    import jwt

    from keys.test_x509 import certificate

    for use in (lambda key: certificate(key, 0), lambda key: jwt.encode({}, key, "ES256")):
        engine = FakeEngine()
        job = pausable.start(use, pausing(local["P-256"], engine))
        assert engine.pending == ["sign-1"]
        job.close()
        assert job.cancelled()
        assert engine.operation("sign-1").cancelled()
    assert pausable.thread_pool().stats().paused == 0


def test_a_late_answer_reaches_nobody(local):
    engine = FakeEngine()
    key = pausing(local["Ed25519"], engine)
    with pausable.start(key.sign, b"first"):
        pass
    engine.finish_late("sign-1", bytes(64))
    with pausable.start(key.sign, b"second") as job:
        engine.run("sign-2")
        job.resume()
        key.public_key().verify(job.result(), b"second")


def test_data_may_change_while_it_is_signed(local):
    engine = FakeEngine()
    data = bytearray(b"before")
    with pausable.start(pausing(local["Ed25519"], engine).sign, data) as job:
        data[:] = b"after!"
        engine.run("sign-1")
        job.resume()
        local["Ed25519"].public_key().verify(job.result(), b"before")


def test_outside_a_job_it_blocks(local, engine):
    key = pausing(local["Ed25519"], engine)
    key.public_key().verify(key.sign(b"data"), b"data")
    with pausable.pause_blocked():
        key.sign(b"data")


def test_many_threads_use_one_key(local, engine):
    key = pausing(local["P-256"], engine)
    failed = []

    def signs():
        try:
            for signature in pausable.map(
                key.sign, [b"x"] * 20, itertools.repeat(ec.ECDSA(SHA256())), jobs=20
            ):
                key.public_key().verify(signature, b"x", ec.ECDSA(SHA256()))
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=signs) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_processes_sign_if_they_may_have_the_key(local):
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        key = pausing(local["RSA"], processes, send_key=True)
        signature = pausable.run_blocking(key.sign, b"x", PSS, SHA256())
        key.public_key().verify(signature, b"x", PSS, SHA256())
        for kind, args in (("P-256", (ec.ECDH(),)), ("X25519", ())):
            key = pausing(local[kind], processes, send_key=True)
            peer = _pausing_any(kind).public_key()
            assert key.exchange(*args, peer) == local[kind].exchange(*args, peer)
        key = pausing(local["RSA"], processes)
        with pytest.raises(TypeError, match=r"allow that with pausing.*send_key=True"):
            pausable.run_blocking(key.sign, b"x", PSS, SHA256())
        assert pausable.run_blocking(processes.submit(int).result) == 0


@pytest.mark.hazard("C6")
@pytest.mark.parametrize("kind", CLASSES)
def test_the_private_part_stays_where_it_is(local, kind):
    key = pausing(local[kind], FakeEngine())
    for refused in (
        lambda: key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        key.private_numbers if kind in ("RSA", "P-256") else key.private_bytes_raw,
    ):
        with pytest.raises(NotImplementedError, match="its private part is not here"):
            refused()
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"^<Pausing\w+Key: .*> cannot be (copied|pickled)"):
            refused(key)


def test_no_digest_info_is_passed_on(local, engine):
    if not hasattr(utils, "NoDigestInfo"):
        pytest.skip("NoDigestInfo is not in this release of cryptography")
    key = pausing(local["RSA"], engine)
    args = (padding.PKCS1v15(), utils.NoDigestInfo())
    assert key.sign(b"raw", *args) == local["RSA"].sign(b"raw", *args)


def test_deterministic_signatures_are_the_local_key_s(local, engine):
    how = ec.ECDSA(SHA256(), deterministic_signing=True)
    key = pausing(local["P-256"], engine)
    assert key.sign(b"x", how) == local["P-256"].sign(b"x", how)


def test_hashes_that_a_kind_cannot_use_are_refused_as_by_the_local_key(local, engine):
    with pytest.raises(ValueError, match="digest"):
        pausing(local["RSA"], engine).sign(b"short", padding.PKCS1v15(), PREHASHED)
    with pytest.raises(TypeError):
        pausing(local["RSA"], engine).sign("text", padding.PKCS1v15(), hashes.SHA256())
