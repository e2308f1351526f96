"""What the tests of the C-named API share: a clean thread, and every generation of the API."""

import pytest

from pausable import openssl
from pausable.openssl import pre1_1, v1_1


@pytest.fixture(autouse=True)
def clean_thread():
    """Forget pools and errors of tests before, and check that the errors were looked at."""
    for api in (openssl, v1_1):
        api.ASYNC_cleanup_thread()
    pre1_1.ASYNC_free_pool()
    openssl.ERR_clear_error()
    yield
    left = openssl.ERR_get_error()
    assert not left, openssl.ERR_error_string(left, None)


@pytest.fixture(params=[openssl, v1_1], ids=["3.x", "1.1"])
def api(request):
    """Each generation that has wait contexts."""
    return request.param


@pytest.fixture
def reasons():
    """Drain the error queue: reasons(api) -> texts."""

    def drain(api):
        texts = []
        while code := api.ERR_get_error():
            texts.append(api.ERR_reason_error_string(code))
        return texts

    return drain
