"""Type-checked, not run: what mypy has to infer for users."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from typing_extensions import assert_type

import pausable
from pausable.engines import CoroutineEngine, ExecutorEngine, Ticket, guard
from pausable.keys import RemoteECKey, RemoteEd25519Key, pausing
from pausable.testing import FakeEngine, FakeLoop, FaultyEngine


def sign(key: str, digest: bytes) -> bytes:
    """Stand in for a user's function."""
    return key.encode() + digest


def handled() -> None:
    """A call's types are kept through start, run and map."""
    job = pausable.start(sign, "key", digest=b"")
    assert_type(job, pausable.Job[bytes])
    assert_type(job.result(), bytes)
    assert_type(job.exception(), BaseException | None)
    assert_type(list(pausable.map(sign, ["key"], [b""])), list[bytes])
    assert_type(pausable.pause(), bool)
    with pausable.JobPool(4) as pool, pool.start(sign, "key", b"") as other:
        assert_type(other.done(), bool)


class Hooks:
    """Any of the four methods will do."""

    def on_pause(self, job: pausable.Job[Any]) -> None:
        """Be called."""


def diagnosed() -> None:
    """What is under way, and what watches it."""
    assert_type(pausable.jobs(), list[pausable.Job[Any]])
    assert_type(pausable.dump(format="json"), str)
    pausable.add_hooks(Hooks())
    pausable.set_debug(True, slow_segment_s=0.5)
    assert_type(pausable.get_debug(), bool)


def refused() -> None:
    """A wrong argument is an error where it is written."""
    pausable.start(sign, "key")  # type: ignore[call-arg]
    pausable.start(sign, "key", "digest")  # type: ignore[arg-type]


def tested() -> None:
    """So through the fakes."""
    engine = FakeEngine()
    assert_type(engine.call(sign, "key", b""), bytes)
    assert_type(engine.submit("sign-1").result(), Any)
    pausable.wait_for(engine.submit(sign, "key", 1))  # type: ignore[call-overload]
    with FakeLoop() as loop:
        assert_type(loop.start(sign, "key", b""), pausable.Job[bytes])
        assert_type(loop.run(sign, "key", b""), bytes)
    with FaultyEngine(engine, seed=1) as faulty:
        assert_type(pausable.wait_for(faulty.submit(sign, "key", b"")), bytes)


async def ask(question: str) -> int:
    """Stand in for a client."""
    return len(question)


def through_engines() -> None:
    """So through engines."""
    with ExecutorEngine() as threads:
        assert_type(threads.call(sign, "key", b""), bytes)
        assert_type(threads.submit(sign, "key", b""), Ticket[bytes])
        threads.call(sign, "key", 1)  # type: ignore[arg-type]
        assert_type(pausable.wait_for(threads.submit(sign, "key", b"")), bytes)
        assert_type(guard(threads).call(sign, "key", b""), Any)
    with CoroutineEngine() as coroutines:
        assert_type(coroutines.call(ask, "what?"), int)
        assert_type(coroutines.submit(ask, "what?").result(), int)


async def awaited(future: "Future[int]") -> None:
    """So with run and wait_for."""
    assert_type(await pausable.run(sign, "key", b""), bytes)
    await pausable.run(sign, "key", 1)  # type: ignore[arg-type]
    assert_type(pausable.wait_for(future), int)


class DeviceKey(RemoteECKey):
    """A hook may return bytes."""

    def sign_digest(self, digest: bytes, algorithm: HashAlgorithm) -> bytes:
        """Return a signature."""
        return digest


class ServiceKey(RemoteEd25519Key):
    """A hook may be async."""

    async def sign_message(self, message: bytes) -> bytes:
        """Return a signature."""
        return message


def keyed(key: ec.EllipticCurvePrivateKey, other: dsa.DSAPrivateKey) -> None:
    """A key stays of its kind."""
    engine = ThreadPoolExecutor(1)
    assert_type(pausing(key, engine), ec.EllipticCurvePrivateKey)
    as_theirs: ec.EllipticCurvePrivateKey = DeviceKey(key.public_key(), FakeEngine())
    assert_type(as_theirs.public_key(), ec.EllipticCurvePublicKey)
    theirs_too: ed25519.Ed25519PrivateKey = ServiceKey(
        ed25519.Ed25519PrivateKey.generate().public_key()
    )
    assert_type(theirs_too.sign(b""), bytes)
    pausing(other, engine)  # type: ignore[type-var]
    pausing(key, "threads")  # type: ignore[arg-type]


@pausable.pause_blocked()
def decorated(number: int) -> int:
    """The decorator keeps the type."""
    return number


assert_type(decorated(1), int)


@pausable.to_async
def asynchronous(key: str, *, digest: bytes) -> bytes:
    """Stand in for a wrapped function."""
    return sign(key, digest)


class Signer:
    """So with methods."""

    @pausable.pausable
    def sign(self, digest: bytes) -> int:
        """Be wrapped."""
        return len(digest)


async def wrapped() -> None:
    """Parameters and results of what is wrapped stay."""
    assert_type(await asynchronous("key", digest=b""), bytes)
    assert_type(await Signer().sign(b""), int)
    assert_type(pausable.run_blocking(sign, "key", b""), bytes)
    assert_type(next(pausable.map(sign, ["key"], [b""], as_completed=True)), bytes)
    assert_type(pausable.wait_for(asynchronous("key", digest=b""), timeout_s=1), bytes)
    async with pausable.portal():
        pass
    await asynchronous("key")  # type: ignore[call-arg]
    await Signer().sign("digest")  # type: ignore[arg-type]
    pausable.run_blocking(sign, "key")  # type: ignore[call-arg]
