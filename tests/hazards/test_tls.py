"""Jobs paused in callbacks of libssl, in the middle of a handshake (C2, C3, C4, C7)."""

from __future__ import annotations

import asyncio
import datetime
import gc
import ssl
import sys
import weakref

import pytest

import pausable
from core._support import finish

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

needs_psk = pytest.mark.skipif(sys.version_info < (3, 13), reason="PSK callbacks are of 3.13")


@pytest.fixture(scope="session")
def pem(tmp_path_factory):
    """A file with a certificate for localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pkcs8 = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, *pkcs8)
    )
    return path


class Ends:
    """Both ends of one TLS connection in memory."""

    def __init__(self, pem, sni_callback=None, psk=None):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        server.sni_callback = sni_callback
        client = ssl.create_default_context(cafile=pem)
        if psk is not None:
            client.set_psk_client_callback(lambda hint: ("client", psk()))
            server.set_psk_server_callback(lambda identity: b"secret")
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(back, there, server_hostname="localhost")
        self.server = server.wrap_bio(there, back, server_side=True)

    def shake_hands(self):
        while not (step(self.client) & step(self.server)):
            pass
        return self.client.version() == self.server.version() is not None

    def paused_in_server(self):
        """Start the server's first step as a job."""
        step(self.client)
        return pausable.start(step, self.server)


def step(end):
    """Go on with a handshake as far as it goes; tell whether that is its end."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def pausing(*_):
    pausable.pause()


def leave_an_error():
    """Fail in libcrypto, as code may that does not clear up: the error stays in its queue."""
    with pytest.raises(ValueError, match="unknown object"):
        ssl._ASN1Object("no such object")


def clear_errors():
    """Have libcrypto forget this thread's errors: making a connection does that first."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), True)


def test_handshakes_paused_in_libssl_end_in_any_order(pem):
    ends = [Ends(pem, pausing) for _ in range(10)]
    jobs = [end.paused_in_server() for end in ends]
    assert all(job.paused for job in jobs)
    for n in sorted(range(10), key=lambda n: n * 7 % 10):
        finish(jobs[n])
        assert ends[n].shake_hands()


# -- the error queue is the thread's ---------------------------------------------------------------


@pytest.mark.hazard("C2")
def test_a_server_paused_for_its_certificate_does_not_mind_a_strangers_error(pem):
    ends = Ends(pem, pausing)
    job = ends.paused_in_server()
    leave_an_error()
    assert finish(job) is False
    assert ends.shake_hands()
    clear_errors()


@pytest.mark.hazard("C2")
def test_a_failed_handshake_beside_a_paused_one_leaves_no_error_behind(pem):
    ends = Ends(pem, pausing)
    job = ends.paused_in_server()
    stranger = ssl.create_default_context().wrap_bio(
        garbage := ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost"
    )
    garbage.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        stranger.do_handshake()
    assert finish(job) is False
    assert ends.shake_hands()


@needs_psk
@pytest.mark.hazard("C2")
@pytest.mark.xfail(strict=True, raises=ssl.SSLError, reason="nothing clears OpenSSL's queue")
def test_a_client_paused_for_its_shared_key_does_not_mind_a_strangers_error(pem):
    ends = Ends(pem, psk=lambda: (pausable.pause(), b"secret")[1])
    job = pausable.start(step, ends.client)
    leave_an_error()
    try:
        assert finish(job) is False
    finally:
        clear_errors()


@needs_psk
@pytest.mark.hazard("C2")
def test_a_callback_that_clears_the_queue_after_its_pause_does_not_mind(pem):
    ends = Ends(pem, psk=lambda: (pausable.pause(), clear_errors(), b"secret")[2])
    job = pausable.start(step, ends.client)
    leave_an_error()
    assert finish(job) is False


# -- exceptions do not cross libssl ----------------------------------------------------------------


@pytest.fixture
def unraisable(monkeypatch):
    """What was raised where nobody could catch it."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: seen.append(info.exc_value))
    yield seen
    seen.clear()


@pytest.mark.hazard("C3")
def test_what_a_callback_raises_fails_the_handshake_and_is_told_to_the_hook(pem, unraisable):
    def lookup(*_):
        pausable.pause()
        raise KeyError("no such host")

    job = Ends(pem, lookup).paused_in_server()
    job.resume()
    with pytest.raises(ssl.SSLError, match="callback failed"):
        job.result()
    assert [repr(exc) for exc in unraisable] == ["KeyError('no such host')"]


@pytest.mark.hazard("C3")
def test_a_callback_that_keeps_its_exception_gives_the_handshakes_failure_a_cause(pem):
    kept = []

    def lookup(*_):
        try:
            pausable.pause()
            raise KeyError("no such host")
        except BaseException as exc:
            kept.append(exc)
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    def handshake(ends):
        step(ends.client)
        try:
            return step(ends.server)
        except ssl.SSLError as exc:
            raise kept.pop() from exc

    job = pausable.start(handshake, Ends(pem, lookup))
    job.resume()
    with pytest.raises(KeyError, match="no such host") as info:
        job.result()
    assert isinstance(info.value.__cause__, ssl.SSLError)

    job = pausable.start(handshake, Ends(pem, lookup))
    assert job.cancel()
    assert job.cancelled()


@pytest.mark.hazard("C3")
def test_a_cancelled_handshake_ends_although_libssl_makes_another_error_of_it(pem, unraisable):
    job = Ends(pem, pausing).paused_in_server()
    assert job.cancel() is True
    assert isinstance(job.exception(), ssl.SSLError)
    assert [type(exc) for exc in unraisable] == [pausable.JobCancelled]


@pytest.mark.hazard("C3")
def test_a_cancelled_handshakes_error_has_the_cancellation_as_its_context(pem, unraisable):
    job = Ends(pem, pausing).paused_in_server()
    job.cancel()
    assert isinstance(job.exception().__context__, pausable.JobCancelled)


# -- abandoned handshakes --------------------------------------------------------------------------


@pytest.mark.hazard("C4")
@pytest.mark.parametrize("how", ["close", "drop"])
def test_two_hundred_abandoned_handshakes_are_freed_with_all_they_hold(pem, unraisable, how):
    dead, jobs = [], []
    for _ in range(200):
        ends = Ends(pem, pausing)
        dead.append(weakref.ref(ends.server))
        jobs.append(ends.paused_in_server())
    del ends
    if how == "close":
        for job in jobs:
            job.close()
        del job
        jobs.clear()
    else:
        with pytest.warns(ResourceWarning, match="in do_handshake"):
            jobs.clear()
        pausable.start(int)
    assert len(unraisable) == 200
    unraisable.clear()
    gc.collect()
    assert [ref() for ref in dead] == [None] * 200


@pytest.mark.hazard("C4")
def test_handshakes_of_tasks_that_time_out_are_freed(pem, unraisable):
    dead = []

    async def handshake():
        ends = Ends(pem, pausing)
        dead.append(weakref.ref(ends.server))
        step(ends.client)
        await asyncio.wait_for(pausable.run(step, ends.server), 0.001)

    async def main():
        tasks = [handshake() for _ in range(20)]
        return [type(exc) for exc in await asyncio.gather(*tasks, return_exceptions=True)]

    asyncio.run(main())
    unraisable.clear()
    gc.collect()
    assert [ref() for ref in dead] == [None] * 20
    assert pausable.thread_pool().stats().paused == 0
