"""Sign with a key in a cloud's key service, in synchronous code, many at once on one thread.

    python examples/kms_key.py [--endpoint URL] [--jobs N]

`KmsKey.sign` is plain synchronous code that a library may call at any depth. Its engine awaits an
asynchronous client (aiobotocore), so that jobs pause meanwhile. Without --endpoint, moto stands in
for AWS, on this machine: pip install aiobotocore 'moto[server,kms]' cryptography
(moto 5 hashes what it is to sign even if that is a digest, and so its signatures are verified.)
"""

import argparse
import contextlib
import hashlib
import logging
from collections.abc import Iterator
from typing import Any

from aiobotocore.session import get_session
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

import pausable
from pausable.engines import CoroutineEngine, guard

ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256"


class KmsKey:
    """A private RSA key that never leaves the service.

    One client on one loop serves all threads and jobs: hence the engine's own loop.
    """

    def __init__(self, key_id: str | None = None, **client_options: Any) -> None:
        self._loop = CoroutineEngine(own_loop=True)
        self._exit = contextlib.AsyncExitStack()
        self._client: Any = self._loop.call(self._open, client_options)
        # At most 50 requests at once; what fails or takes too long is tried again, in bounds.
        self._engine = guard(self._loop, max_in_flight=50, timeout_s=5, retry=4, breaker=10)
        self._key_id = key_id or self._create()

    async def _open(self, options: dict[str, Any]) -> Any:
        client = get_session().create_client("kms", **options)
        return await self._exit.enter_async_context(client)

    def _create(self) -> str:
        answer = self._engine.call(
            self._client.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"
        )
        return str(answer["KeyMetadata"]["KeyId"])

    def sign(self, message: bytes) -> bytes:
        digest = hashlib.sha256(message).digest()
        answer = self._engine.call(
            self._client.sign,
            KeyId=self._key_id,
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm=ALGORITHM,
        )
        return bytes(answer["Signature"])

    def public_key(self) -> RSAPublicKey:
        answer = self._engine.call(self._client.get_public_key, KeyId=self._key_id)
        public = load_der_public_key(answer["PublicKey"])
        assert isinstance(public, RSAPublicKey)
        return public

    def close(self) -> None:
        self._engine.close()
        self._loop.call(self._exit.aclose)
        self._loop.close()


@contextlib.contextmanager
def service(endpoint: str | None) -> Iterator[str]:
    """Give the address of a key service: one that is there, or moto's on this machine."""
    if endpoint:
        yield endpoint
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Sign with a key in a key service.")
    parser.add_argument("--endpoint", help="address of a key service")
    parser.add_argument("--jobs", type=int, default=50)
    options = parser.parse_args()
    with service(options.endpoint) as endpoint:
        key = KmsKey(
            endpoint_url=endpoint,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  # moto's
        )
        with contextlib.closing(key):
            messages = [b"message %d" % number for number in range(200)]
            signatures = list(pausable.map(key.sign, messages, jobs=options.jobs))
            public = key.public_key()
    how: Any = utils.Prehashed(SHA256()) if options.endpoint else SHA256()
    for message, signature in zip(messages, signatures, strict=True):
        digest = hashlib.sha256(message).digest()
        public.verify(signature, digest, padding.PKCS1v15(), how)
    print(f"{len(signatures)} signatures of the service's key are valid")


if __name__ == "__main__":
    main()
