"""`pausable sign`: its options, its report, its exit code."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pausable.cli._output import say

if TYPE_CHECKING:
    from pausable.cli._batch import Batch, Outcome

__all__ = ["INTERRUPTED", "sign"]

_MAX_JOBS = 100_000
_MAX_WORKERS = 1024  # threads of the system
_MAX_LATENCY_MS = 3_600_000.0  # an hour

#: Exit code if some file was not signed.
_FAILED = 1
#: Exit code after Ctrl-C: 128 + SIGINT, as shells have it.
INTERRUPTED = 130


def _check_latency(_ctx: object, _param: object, value: float) -> float:
    if not (math.isfinite(value) and 0 <= value <= _MAX_LATENCY_MS):
        raise click.BadParameter(f"{value} is not in the range 0 to {_MAX_LATENCY_MS:.0f}.")
    return value


@click.command()
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    metavar="KEY.pem",
    help="Private key in PEM format: RSA, ECDSA or Ed25519.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MAX_JOBS),
    default=64,
    show_default=True,
    help="Files in flight at once.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, _MAX_WORKERS),
    help=f"Threads for key operations.  [default: as --jobs, at most {_MAX_WORKERS}]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory for the signatures, made if missing.  [default: next to each file]",
)
@click.option(
    "--scheme",
    type=click.Choice(["pkcs1v15", "pss"]),
    help="How an RSA key signs.  [default: pkcs1v15; pss for keys that allow no other]",
)
@click.option(
    "--digest",
    type=click.Choice(["sha256", "sha384", "sha512"]),
    help="Which digest of the file an RSA or ECDSA key signs.  [default: sha256]",
)
@click.option(
    "--passin",
    metavar="env:NAME",
    help="Environment variable with the key's passphrase.  [default: ask on the terminal]",
)
@click.option(
    "--latency-ms",
    type=float,
    default=0.0,
    metavar="MS",
    callback=_check_latency,
    help="Make each key operation take longer, as a remote key's does.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a report in JSON on stdout.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
def sign(
    key: Path,
    jobs: int,
    workers: int | None,
    out: Path | None,
    scheme: str | None,
    digest: str | None,
    passin: str | None,
    latency_ms: float,
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
    from pausable.cli._batch import Batch, Outcome  # noqa: PLC0415  # cryptography, slow to import
    from pausable.cli._interrupt import ctrl_c_calls  # noqa: PLC0415
    from pausable.cli._keys import load_signer  # noqa: PLC0415
    from pausable.cli._plan import make_plan  # noqa: PLC0415
    from pausable.cli._progress import make_progress  # noqa: PLC0415

    signer = load_signer(key, scheme, digest, passin)
    plan = make_plan(files, out, key)
    outcomes: list[Outcome] = []
    total = len(plan.tasks) + len(plan.left_out)
    batch = Batch(signer, workers or min(jobs, total, _MAX_WORKERS), latency_ms / 1000)
    with ctrl_c_calls(batch.stop), make_progress(total, quiet=as_json) as progress:

        def report(outcome: Outcome) -> None:
            outcomes.append(outcome)
            progress.show(outcome)

        for path in plan.left_out:
            report(Outcome(path, "skipped", None, "is the signature of another file"))
        batch.run(plan.tasks, jobs, report)
    elapsed_s = time.monotonic() - began
    if as_json:
        say(_json_report(batch, outcomes, elapsed_s, signer.name, jobs))
    elif not batch.interrupted:
        say(_summary(batch, outcomes, elapsed_s))
    if batch.interrupted:
        signed = _count(outcomes, "signed")
        say(f"pausable: interrupted; {signed} files were signed; run it again to go on", err=True)
        return INTERRUPTED
    return _FAILED if _count(outcomes, "failed") else 0


def _count(outcomes: list[Outcome], what: str) -> int:
    return sum(outcome.what == what for outcome in outcomes)


def _summary(batch: Batch, outcomes: list[Outcome], elapsed_s: float) -> str:
    counts = ", ".join(f"{_count(outcomes, what)} {what}" for what in _WHATS)
    paused = f"; up to {batch.most_paused} paused at once" if batch.most_paused else ""
    return f"{len(outcomes)} files: {counts}, in {elapsed_s:.2f} s, on one thread{paused}"


_WHATS = ("signed", "skipped", "failed")


def _json_report(
    batch: Batch, outcomes: list[Outcome], elapsed_s: float, key: str, jobs: int
) -> str:
    """Return the report; a file name's undecodable bytes are lone surrogates (PEP 383)."""
    import json  # noqa: PLC0415

    files: list[dict[str, Any]] = [
        {
            "file": str(outcome.path),
            "outcome": outcome.what,
            "signature": None if outcome.signature is None else str(outcome.signature),
            "reason": outcome.reason,
        }
        for outcome in outcomes
    ]
    return json.dumps(
        {
            **{what: _count(outcomes, what) for what in _WHATS},
            "interrupted": batch.interrupted,
            "key": key,
            "jobs": jobs,
            "most_paused_at_once": batch.most_paused,
            "threads_running_jobs": len(batch.threads),
            "elapsed_s": round(elapsed_s, 6),
            "files": files,
        },
        indent=2,
    )
