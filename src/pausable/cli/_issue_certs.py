"""`pausable issue-certs`: its options."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pausable.cli._options import (
    EngineOptions,
    digest_option,
    engine_options,
    file_option,
    json_option,
    passin_option,
)

__all__ = ["issue_certs"]

#: A hundred years.
_MAX_DAYS = 36_500


@click.command()
@file_option("--ca", "CA.pem", "The CA's certificate, in PEM format.")
@file_option("--ca-key", "CA.key", "Its private key, in PEM format: RSA, ECDSA or Ed25519.")
@file_option("--csr-dir", "DIR", "Directory with the requests: *.csr, *.pem and *.req.")
@file_option("--out-dir", "DIR", "Directory for the certificates, made if missing.")
@click.option(
    "--days",
    type=click.IntRange(1, _MAX_DAYS),
    default=90,
    show_default=True,
    help="How long they are valid; none outlives the CA's own.",
)
@engine_options
@digest_option(
    "Which digest an RSA or ECDSA key signs.  [default: sha256, or as wide as the curve]"
)
@passin_option
@json_option
def issue_certs(
    ca: Path,
    ca_key: Path,
    csr_dir: Path,
    out_dir: Path,
    days: int,
    jobs: int,
    engine: EngineOptions,
    digest: str | None,
    passin: str | None,
    as_json: bool,
) -> int:
    """Issue certificates for the requests (CSRs) in a directory, with one CA's key.

    Each request NAME.csr, in PEM or DER, gets NAME.crt, written whole or not at all. A certificate
    has the request's subject, key, alternative names, key usage and extended key usage; it is
    nobody's CA. A request that has a certificate of this CA that says the same and is valid now is
    skipped, so an interrupted run goes on where it stopped when it is started again.

    A request that is bad is reported with the reason and costs itself alone: it cannot be read, its
    own signature is wrong, its key is weak (RSA below 2048 bits), it names nobody, or it asks for
    what is not granted. Who asks, and whether the names are theirs, is not checked.

    \b
    Example:
      openssl req -x509 -newkey rsa:2048 -nodes -keyout CA.key -out CA.pem -subj /CN=ours
      mkdir requests
      openssl req -newkey rsa:2048 -nodes -keyout a.key -out requests/a.csr -subj /CN=a
      pausable issue-certs --ca CA.pem --ca-key CA.key --csr-dir requests --out-dir certs
      openssl verify -CAfile CA.pem certs/a.crt

    \b
    Exit codes:
      0    every request has a valid certificate
      1    some request was refused, or its certificate could not be made
      2    nothing was done: a key, a directory or an option is wrong
      130  interrupted by Ctrl-C
    """  # noqa: D301  # \b is click's mark for lines to be kept as they are
    began = time.monotonic()
    from pausable.cli._carry_out import Words, carry_out  # noqa: PLC0415  # slow to import
    from pausable.cli._certificates import Certificates, load_ca, make_issuer  # noqa: PLC0415
    from pausable.cli._key_engine import open_key_engine  # noqa: PLC0415
    from pausable.cli._keys import load_key  # noqa: PLC0415
    from pausable.cli._plan import plan_certificates  # noqa: PLC0415
    from pausable.cli._run import Run  # noqa: PLC0415
    from pausable.cli._schemes import DIGESTS  # noqa: PLC0415

    private = load_key(ca_key, passin)
    certificate = load_ca(ca, private)
    hashing = None if digest is None else DIGESTS[digest]()
    run = Run(jobs)
    own = {ca: "the CA's certificate", ca_key: "the CA's key"}
    with open_key_engine(engine, private, run) as key_engine:
        issuer = make_issuer(certificate, private, key_engine, days, hashing)
        plan = plan_certificates(csr_dir, out_dir, own)
        return carry_out(
            plan,
            Certificates(run, issuer, certificate, hashing).issue,
            run,
            key_engine,
            Words("Issuing", "request", "certificate", ("issued", "skipped", "refused", "failed")),
            key=certificate.subject.rfc4514_string(),
            began=began,
            as_json=as_json,
        )
