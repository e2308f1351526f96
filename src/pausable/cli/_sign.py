"""`pausable sign`: its options, its report, its exit code."""

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

__all__ = ["sign"]


@click.command()
@file_option("--key", "KEY.pem", "Private key in PEM format: RSA, ECDSA or Ed25519.")
@engine_options
@file_option(
    "--out",
    "DIR",
    "Directory for the signatures, made if missing.  [default: next to each file]",
    required=False,
)
@click.option(
    "--scheme",
    type=click.Choice(["pkcs1v15", "pss"]),
    help="How an RSA key signs.  [default: pkcs1v15; pss for keys that allow no other]",
)
@digest_option("Which digest of the file an RSA or ECDSA key signs.  [default: sha256]")
@passin_option
@json_option
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
def sign(
    key: Path,
    jobs: int,
    engine: EngineOptions,
    out: Path | None,
    scheme: str | None,
    digest: str | None,
    passin: str | None,
    as_json: bool,
    files: tuple[str, ...],
) -> int:
    """Sign files, many at once, on one thread.

    Each FILE gets a detached signature, FILE.sig, written whole or not at all. A file that has a
    valid signature is skipped, so an interrupted run goes on where it stopped when it is started
    again. One that is not valid, or another key's, is replaced. A file that cannot be signed costs
    that file alone.

    RSA and ECDSA keys sign a digest of the file; Ed25519 signs the file itself. For P-384 and
    P-521, a digest as wide as the curve (--digest sha384, sha512) is what FIPS 186-5 asks for. The
    salt of RSA-PSS is as long as the digest.

    \b
    Example:
      openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem
      openssl pkey -in key.pem -pubout -out pub.pem
      pausable sign --key key.pem *.txt
      openssl dgst -sha256 -verify pub.pem -signature a.txt.sig a.txt

    \b
    With worker processes, or on a cluster whose workers have the key in the same file:
      pausable sign --key key.pem --engine processes *.txt
      pausable sign --key key.pem --engine dask://10.0.0.1:8786 --batch 16 *.txt

    \b
    To verify signatures of other kinds:
      RSA-PSS  add -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1
      Ed25519  openssl pkeyutl -verify -rawin -pubin -inkey pub.pem
               -sigfile a.txt.sig -in a.txt

    \b
    Exit codes:
      0    every file has a valid signature
      1    some file could not be signed
      2    nothing was done: a key, a file or an option is wrong
      130  interrupted by Ctrl-C
    """  # noqa: D301  # \b is click's mark for lines to be kept as they are
    began = time.monotonic()
    from pausable.cli._carry_out import Words, carry_out  # noqa: PLC0415  # slow to import
    from pausable.cli._detached import DetachedSignatures  # noqa: PLC0415
    from pausable.cli._key_engine import open_key_engine  # noqa: PLC0415
    from pausable.cli._keys import load_key  # noqa: PLC0415
    from pausable.cli._plan import plan_signatures  # noqa: PLC0415
    from pausable.cli._run import Run  # noqa: PLC0415
    from pausable.cli._schemes import make_signer  # noqa: PLC0415

    private = load_key(key, passin)
    signer = make_signer(private, scheme, digest)
    run = Run(jobs)
    plan = plan_signatures(files, out, key)
    with open_key_engine(engine, private, run) as key_engine:
        return carry_out(
            plan,
            DetachedSignatures(run, signer, key_engine).sign,
            run,
            key_engine,
            Words("Signing", "file", "signature", ("signed", "skipped", "failed")),
            key=signer.name,
            began=began,
            as_json=as_json,
        )
