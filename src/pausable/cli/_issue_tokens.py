"""`pausable issue-tokens`: its options, its output, its exit code."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pausable.cli._exit import FAILED, INTERRUPTED
from pausable.cli._options import EngineOptions, engine_options, file_option, passin_option
from pausable.cli._output import Refusal, say, shown

if TYPE_CHECKING:
    from pausable.cli._key_engine import KeyEngine
    from pausable.cli._lines import Lines
    from pausable.cli._run import Run
    from pausable.cli._tokens import Token, Tokens

__all__ = ["issue_tokens"]

#: A hundred years.
_MAX_EXPIRES_IN_S = 36_500 * 86_400

_ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "ES256K", "EdDSA",
)  # fmt: skip


@click.command()
@file_option("--key", "KEY.pem", "Private key in PEM format: RSA, EC or Ed25519.")
@file_option("--claims", "FILE.jsonl|-", "A JSON object of claims on each line; -: standard input.")
@click.option(
    "--alg",
    type=click.Choice(_ALGORITHMS),
    help="How the key signs.  [default: RS256, ES256 or its kin by the curve, or EdDSA]",
)
@file_option("--out", "FILE", "File for the tokens.  [default: standard output]", required=False)
@click.option(
    "--expires-in",
    type=click.IntRange(1, _MAX_EXPIRES_IN_S),
    metavar="S",
    help="Seconds until a token expires: adds iat and exp where the claims have none.",
)
@click.option("--issuer", metavar="NAME", help="Adds iss where the claims have none.")
@engine_options
@passin_option
def issue_tokens(
    key: Path,
    claims: Path,
    alg: str | None,
    out: Path | None,
    expires_in: int | None,
    issuer: str | None,
    jobs: int,
    engine: EngineOptions,
    passin: str | None,
) -> int:
    """Issue JSON web tokens (JWTs), one for each line of claims, in their order.

    A line that has no JSON object, or claims that nobody would accept, is reported by its number
    and gets no token. With --out, the file is written whole or not at all; without it, each token
    is printed as soon as it and those before it are done, also while the input is still open.

    \b
    Example:
      openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
      echo '{"sub": "ann", "aud": "shop"}' > claims.jsonl
      pausable issue-tokens --key key.pem --claims claims.jsonl --expires-in 3600 --issuer me

    \b
    Exit codes:
      0    every line has its token
      1    some line has none
      2    nothing was done: a key, a file or an option is wrong
      130  interrupted by Ctrl-C
    """  # noqa: D301  # \b is click's mark for lines to be kept as they are
    began = time.monotonic()
    from pausable.cli._key_engine import open_key_engine  # noqa: PLC0415  # slow to import
    from pausable.cli._keys import load_key  # noqa: PLC0415
    from pausable.cli._lines import Lines  # noqa: PLC0415
    from pausable.cli._run import Run  # noqa: PLC0415
    from pausable.cli._tokens import Additions, Tokens, choose_algorithm  # noqa: PLC0415

    private = load_key(key, passin)
    algorithm = choose_algorithm(private, alg)
    if out is not None:
        _refuse_out(out, key, claims)
    run = Run(jobs)
    additions = Additions(expires_in, issuer)
    with Lines(claims, run) as lines, open_key_engine(engine, private, run) as key_engine:
        tokens = Tokens(lines, private, key_engine, algorithm, additions)
        ends = _issue(run, lines, tokens, out)
        if run.interrupted:
            left = "were printed" if out is None else f"were made, none is in {shown(out)}"
            say(f"pausable: interrupted; {ends['issued']} tokens {left}", err=True)
            return INTERRUPTED
        say(_summary(run, key_engine, ends, time.monotonic() - began), err=out is None)
    return FAILED if ends["failed"] else 0


def _issue(run: Run, lines: Lines, tokens: Tokens, out: Path | None) -> Counter[str]:
    """Write the tokens; return how many lines ended how."""
    from pausable.cli._files import replacing  # noqa: PLC0415
    from pausable.cli._interrupt import Interrupted, ctrl_c_calls  # noqa: PLC0415
    from pausable.cli._progress import make_progress  # noqa: PLC0415

    ends: Counter[str] = Counter()
    with ctrl_c_calls(run.stop):
        try:
            with (
                nullcontext(_print) if out is None else replacing(out) as write,
                make_progress("Issuing", None, quiet=True) as progress,
            ):

                def report(token: Token) -> None:
                    if not token.outcome.bad:
                        write(f"{token.text}\n".encode())
                    ends[token.outcome.what] += 1
                    progress.show(token.outcome)

                run.each(tokens.issue, lines, report, in_order=True)
                run.check()  # interrupted: the file stays as it was
        except Interrupted:
            pass
    return ends


def _print(token: bytes) -> None:
    click.echo(token, nl=False)


def _summary(run: Run, engine: KeyEngine, ends: Counter[str], elapsed_s: float) -> str:
    from pausable.cli._carry_out import trips_of  # noqa: PLC0415

    paused = f"; up to {run.most_paused} paused at once" if run.most_paused else ""
    return (
        f"{sum(ends.values())} lines: {ends['issued']} issued, {ends['failed']} failed, in"
        f" {elapsed_s:.2f} s, on one thread{paused}{trips_of(engine)}"
    )


def _refuse_out(out: Path, key: Path, claims: Path) -> None:
    from pausable.cli._plan import refuse_overwriting  # noqa: PLC0415

    if out.exists() and not out.is_file():
        raise Refusal(
            f"--out {shown(out)} is no regular file, which a file can take the place of; name"
            " another, or omit it to print the tokens"
        )
    if not out.parent.is_dir():
        raise Refusal(f"--out {shown(out)} is in a directory that does not exist; make it first")
    refuse_overwriting([out], {key: "the key", claims: "the claims"}, "--out")
