"""A key in a key service: the example's class against moto's server, over HTTP."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from pathlib import Path

import pytest

import pausable
from engines._support import needs

EXAMPLE = Path(__file__).parents[2] / "examples" / "kms_key.py"

#: What botocore, moto and werkzeug warn of is theirs.
pytestmark = [
    needs("aiobotocore"),
    needs("moto", "[server,kms]"),
    needs("cryptography"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("kms_key", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def endpoint(example):
    with example.service(None) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def key(example, endpoint):
    key = example.KmsKey(
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    yield key
    key.close()


def is_valid(public, signature, message):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    # moto hashes what it is to sign, even if that is a digest
    digest = hashlib.sha256(message).digest()
    public.verify(signature, digest, padding.PKCS1v15(), hashes.SHA256())
    return True


def test_every_signature_is_its_own_messages(place, key):
    messages = [b"message %d" % number for number in range(20)]
    signatures = place(key.sign, messages)
    public = key.public_key()
    assert all(map(is_valid, [public] * 20, signatures, messages))


def test_one_client_serves_jobs_of_all_threads(key):
    def in_one_thread():
        results.append(list(pausable.map(key.sign, [b"same"] * 10)))

    results = []
    threads = [threading.Thread(target=in_one_thread) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    public = key.public_key()
    assert all(is_valid(public, signature, b"same") for some in results for signature in some)
    assert sum(map(len, results)) == 40


def test_what_the_service_refuses_is_raised_in_the_job(key, example, endpoint):
    from botocore.exceptions import ClientError

    unknown = example.KmsKey(
        "no-such-key",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    try:
        with pytest.raises(ClientError, match="NotFoundException"):
            pausable.run_blocking(unknown.sign, b"message")
    finally:
        unknown.close()
