"""Private keys whose operations pause; needs `pip install 'pausable[crypto]'`.

    key = pausable.keys.pausing(local_key, engine)
    jwt.encode(claims, key, "ES256")  # in a job: pauses while the engine signs

Libraries that take a private key of `cryptography` take these. `RemoteRSAKey` and its kin are base
classes for keys that are in an HSM, a TPM or a key service. `pausable.keys.adapters` has what some
libraries need besides.
"""

from pausable.keys import _requires  # noqa: F401  # first: it refuses an old cryptography
from pausable.keys._pausing import pausing
from pausable.keys._remote import (
    RemoteECKey,
    RemoteEd448Key,
    RemoteEd25519Key,
    RemoteRSAKey,
    RemoteX448Key,
    RemoteX25519Key,
)
from pausable.keys._signatures import PSSParameters, der_signature, pss_parameters, raw_signature

__all__ = [
    "PSSParameters",
    "RemoteECKey",
    "RemoteEd448Key",
    "RemoteEd25519Key",
    "RemoteRSAKey",
    "RemoteX448Key",
    "RemoteX25519Key",
    "der_signature",
    "pausing",
    "pss_parameters",
    "raw_signature",
]
