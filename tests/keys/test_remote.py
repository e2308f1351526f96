"""Keys that live elsewhere: a hook or two make a whole key of `cryptography`."""

from __future__ import annotations

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pausable
from keys._support import jobs_with_slow_key
from keys.test_kinds import CLASSES, DIGEST, OAEP, PREHASHED, REMOTE, SIGNS
from keys.test_x509 import certificate, is_signed_by
from pausable import EngineError
from pausable.keys import (
    RemoteECKey,
    RemoteEd448Key,
    RemoteEd25519Key,
    RemoteRSAKey,
    RemoteX448Key,
    RemoteX25519Key,
    der_signature,
    pausing,
    pss_parameters,
    raw_signature,
)


class RSAInDevice(RemoteRSAKey):
    """A device that works with digests; `device` is the key in it."""

    def __init__(self, device, engine=None):
        super().__init__(device.public_key(), engine)
        self.device = device
        self.asked = []

    def sign_digest(self, digest, algorithm, padding):
        self.asked.append((digest, algorithm.name, padding))
        return self.device.sign(digest, padding, utils.Prehashed(algorithm))

    def decrypt_ciphertext(self, ciphertext, padding):
        return self.device.decrypt(ciphertext, padding)


class ECInDevice(RemoteECKey):
    def __init__(self, device, engine=None):
        super().__init__(device.public_key(), engine)
        self.device = device

    def sign_digest(self, digest, algorithm):
        der = self.device.sign(digest, ec.ECDSA(utils.Prehashed(algorithm)))
        return der_signature(raw_signature(der, self.curve))

    def exchange_with(self, peer_public_key):
        return self.device.exchange(ec.ECDH(), peer_public_key)


class Signs:
    def __init__(self, device, engine=None):
        super().__init__(device.public_key(), engine)
        self.device = device

    def sign_message(self, message):
        return self.device.sign(message)


class Exchanges(Signs):
    def exchange_with(self, peer_public_key):
        return self.device.exchange(peer_public_key)


class Ed25519InDevice(Signs, RemoteEd25519Key):
    pass


class Ed448InDevice(Signs, RemoteEd448Key):
    pass


class X25519InDevice(Exchanges, RemoteX25519Key):
    pass


class X448InDevice(Exchanges, RemoteX448Key):
    pass


IN_DEVICE = {
    "RSA": RSAInDevice,
    "P-256": ECInDevice,
    "P-384": ECInDevice,
    "Ed25519": Ed25519InDevice,
    "Ed448": Ed448InDevice,
    "X25519": X25519InDevice,
    "X448": X448InDevice,
}


@pytest.fixture(scope="module")
def engine():
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.mark.parametrize(("kind", "args"), SIGNS)
def test_a_signature_is_one_of_the_key(local, engine, kind, args):
    key = IN_DEVICE[kind](local[kind], engine)
    assert isinstance(key, CLASSES[kind])
    signature = pausable.run_blocking(key.sign, *args)
    local[kind].public_key().verify(signature, *args)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "X25519", "X448"])
def test_both_sides_of_an_exchange_have_one_secret(local, engine, kind):
    args = (ec.ECDH(),) if kind.startswith("P") else ()
    peer = ec.generate_private_key(local[kind].curve) if args else CLASSES[kind].generate()
    key = IN_DEVICE[kind](local[kind], engine)
    secret = pausable.run_blocking(key.exchange, *args, peer.public_key())
    assert secret == peer.exchange(*args, local[kind].public_key())


@pytest.mark.parametrize("pad", [padding.PKCS1v15(), OAEP], ids=["PKCS1v15", "OAEP"])
def test_rsa_decrypts(local, engine, pad):
    key = RSAInDevice(local["RSA"], engine)
    ciphertext = key.public_key().encrypt(b"secret", pad)
    assert pausable.run_blocking(key.decrypt, ciphertext, pad) == b"secret"


def test_a_device_is_given_the_digest_and_plain_numbers(local):
    key = RSAInDevice(local["RSA"])
    mgf = padding.MGF1(SHA384())
    for given, salt in (
        (padding.PSS.DIGEST_LENGTH, 32),
        (padding.PSS.MAX_LENGTH, 222),
        (11, 11),
    ):
        key.sign(b"data", padding.PSS(mgf, given), SHA256())
        key.sign(DIGEST, padding.PSS(mgf, given), PREHASHED)
        (_, name, first), (digest, _, second) = key.asked[-2:]
        assert (name, digest) == ("sha256", DIGEST)
        for pss in (first, second):
            assert pss_parameters(pss).salt_size_bytes == salt
            assert pss_parameters(pss).mgf_hash.name == "sha384"


def test_certificates_of_a_device_s_key_pause_and_are_right(local):
    def make(key, i):
        class Waits(RemoteECKey):
            def sign_digest(self, digest, algorithm):
                return key.sign(digest, ec.ECDSA(utils.Prehashed(algorithm)))

        return certificate(Waits(key.public_key()), i)

    public_key = local["P-256"].public_key()
    for cert in jobs_with_slow_key(local["P-256"], make):
        assert is_signed_by(public_key, cert.signature, cert.tbs_certificate_bytes, SHA256())


def test_a_hook_may_be_async(local):
    class Service(RemoteEd25519Key):
        async def sign_message(self, message):
            await asyncio.sleep(0)
            return local["Ed25519"].sign(message)

    key = Service(local["Ed25519"].public_key())
    signature = asyncio.run(pausable.run(key.sign, b"data"))
    key.public_key().verify(signature, b"data")
    with pytest.raises(pausable.WouldDeadlock, match=r"await pausable\.run"):
        key.sign(b"data")


def test_a_hook_may_return_a_future(local, engine):
    class Device(RemoteEd25519Key):
        def sign_message(self, message):
            return engine.submit(local["Ed25519"].sign, message)

    key = Device(local["Ed25519"].public_key())
    key.public_key().verify(pausable.run_blocking(key.sign, b"data"), b"data")


def test_an_async_hook_in_a_thread_is_an_error(local, engine):
    class Service(RemoteEd25519Key):
        async def sign_message(self, message):
            return bytes(64)

    with pytest.raises(EngineError, match="returned a coroutine, not bytes"):
        pausable.run_blocking(Service(local["Ed25519"].public_key(), engine).sign, b"data")


@pytest.mark.parametrize(
    ("kind", "call", "text"),
    [
        ("RSA", lambda k: k.sign(b"", padding.PKCS1v15(), SHA256()), r"no sign_digest\(\)"),
        ("RSA", lambda k: k.decrypt(bytes(256), OAEP), r"no decrypt_ciphertext\(\)"),
        ("P-256", lambda k: k.sign(b"", ec.ECDSA(SHA256())), r"no sign_digest\(\)"),
        ("P-256", lambda k: k.exchange(ec.ECDH(), k.public_key()), r"no exchange_with\(\)"),
        ("Ed25519", lambda k: k.sign(b""), r"no sign_message\(\)"),
        ("Ed448", lambda k: k.sign(b""), r"no sign_message\(\)"),
        ("X25519", lambda k: k.exchange(k.public_key()), r"no exchange_with\(\)"),
        ("X448", lambda k: k.exchange(k.public_key()), r"no exchange_with\(\)"),
        ("RSA", lambda k: k.sign(b"", OAEP, SHA256()), "not for keys elsewhere to sign with"),
        (
            "P-256",
            lambda k: k.sign(b"", ec.ECDSA(SHA256(), deterministic_signing=True)),
            "omit deterministic_signing",
        ),
    ],
)
def test_what_a_device_cannot_do_is_unsupported(local, kind, call, text):
    with pytest.raises(UnsupportedAlgorithm, match=text):
        call(REMOTE[kind](local[kind].public_key()))


@pytest.mark.parametrize(
    ("kind", "call", "error", "text"),
    [
        ("RSA", lambda k: k.sign(b"", None, SHA256()), TypeError, "one of cryptography's"),
        ("RSA", lambda k: k.sign(b"", padding.PKCS1v15(), 5), TypeError, "such as SHA256"),
        ("RSA", lambda k: k.sign("", padding.PKCS1v15(), SHA256()), TypeError, "bytes-like"),
        ("RSA", lambda k: k.sign(b"", padding.PKCS1v15(), PREHASHED), ValueError, "0 bytes"),
        (
            "RSA",
            lambda k: k.sign(b"", padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), SHA256()),
            ValueError,
            "only be set to AUTO when verifying",
        ),
        (
            "RSA",
            lambda k: k.sign(b"", padding.PSS(padding.MGF1(SHA256()), 223), SHA256()),
            ValueError,
            "at most 222 fit",
        ),
        ("RSA", lambda k: k.decrypt(b"", OAEP), ValueError, "is 0 bytes, and this key's are 256"),
        (
            "P-256",
            lambda k: k.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP384R1()).public_key()),
            ValueError,
            "the peer's key is on secp384r1, and this one on secp256r1",
        ),
        ("X448", lambda k: k.exchange(b"peer"), TypeError, "X448PublicKey, not b'peer'"),
    ],
)
def test_wrong_arguments_never_reach_the_device(local, kind, call, error, text):
    class NeverUsed:
        def submit(self, *_args):
            raise AssertionError

    with pytest.raises(error, match=text):
        call(REMOTE[kind](local[kind].public_key(), NeverUsed()))


def test_the_longest_salt_of_a_key_that_is_one_bit_over_whole_bytes_is_no_byte_longer():
    modulus = (1 << 1024) + 1  # 1025 bits: the padded digest is one bit shorter, 128 bytes
    key = RemoteRSAKey(rsa.RSAPublicNumbers(65537, modulus).public_key())
    for salt, error in ((94, UnsupportedAlgorithm), (95, ValueError)):
        pss = padding.PSS(padding.MGF1(SHA256()), salt)
        with pytest.raises(error, match=r"no sign_digest\(\)|at most 94 fit"):
            key.sign(b"", pss, SHA256())


def test_a_raw_signature_says_how_to_mend_it(local):
    class Raw(RemoteECKey):
        def sign_digest(self, digest, algorithm):
            return bytes(64)

    with pytest.raises(EngineError, match=r"64 bytes that are no signature.*der_signature\(them\)"):
        Raw(local["P-256"].public_key()).sign(b"", ec.ECDSA(SHA256()))


def test_a_signature_of_another_length_is_an_error(local):
    class Wrong(RemoteRSAKey):
        def sign_digest(self, digest, algorithm, padding):
            return bytes(128)

    with pytest.raises(EngineError, match="128 bytes, and 256 are what this key yields"):
        Wrong(local["RSA"].public_key()).sign(b"", padding.PKCS1v15(), SHA256())


@pytest.mark.parametrize("kind", REMOTE)
def test_the_public_key_has_to_be_of_the_kind(local, kind):
    with pytest.raises(TypeError, match=r"public_key of Remote\w+ has to be of .*PublicKey, not"):
        REMOTE[kind](local[kind])
    with pytest.raises(TypeError, match="engine has to have submit"):
        REMOTE[kind](local[kind].public_key(), "HSM")


@pytest.mark.parametrize("kind", REMOTE)
def test_the_private_part_stays_where_it_is(local, kind):
    key = IN_DEVICE[kind](local[kind])
    with pytest.raises(NotImplementedError, match="its private part is not here"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"cannot be (copied|pickled)"):
            refused(key)


def test_a_blocking_key_of_another_library_can_be_wrapped(local, engine):
    """Others implement cryptography's classes too, for a device or a service."""

    class Theirs(ec.EllipticCurvePrivateKey):
        curve = local["P-256"].curve
        key_size = 256
        exchange = private_numbers = private_bytes = __copy__ = __deepcopy__ = None

        def public_key(self):
            return local["P-256"].public_key()

        def sign(self, data, signature_algorithm):
            return local["P-256"].sign(data, signature_algorithm)

    key = pausing(Theirs(), engine)
    how = ec.ECDSA(SHA512())
    key.public_key().verify(pausable.run_blocking(key.sign, b"x", how), b"x", how)


def test_raw_signatures_are_converted_both_ways(local):
    for kind in ("P-256", "P-384"):
        der = local[kind].sign(b"x", ec.ECDSA(SHA256()))
        raw = raw_signature(der, local[kind].curve)
        assert len(raw) == local[kind].key_size // 4
        assert der_signature(bytearray(raw)) == der
    with pytest.raises(ValueError, match="63 bytes are not"):
        der_signature(bytes(63))
    with pytest.raises(ValueError, match="not of the curve secp256r1: it is wider"):
        raw_signature(local["P-384"].sign(b"x", ec.ECDSA(SHA256())), ec.SECP256R1())
