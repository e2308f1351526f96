"""The key service example: every signature is verified."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiobotocore", reason="the example needs aiobotocore")
pytest.importorskip("moto.server", reason="the example needs moto[server,kms]")
pytest.importorskip("cryptography", reason="the example needs cryptography")

EXAMPLE = Path(__file__).parents[2] / "examples" / "kms_key.py"


def test_200_signatures_of_a_key_in_a_key_service_are_valid():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    assert done.stdout == "200 signatures of the service's key are valid\n"
