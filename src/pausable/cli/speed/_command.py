"""`pausable speed`: its options."""

from __future__ import annotations

import math
from pathlib import Path

import click

from pausable.cli._options import EngineOptions, file_option, json_option, place_options
from pausable.cli._output import Refusal
from pausable.cli.speed._names import (
    BLOCK_ALGORITHMS,
    BLOCK_SIZES_BYTES,
    GROUPS,
    NAMES,
    chosen_names,
)

__all__ = ["speed"]

_MAX_JOBS = 10_000
_MAX_SECONDS = 60.0  # the time of every operation is kept
_MAX_STUCK_AFTER_S = 86_400.0
_MAX_BLOCK_BYTES = 1024 * 1024  # with a thousand at once, that is a gigabyte
_SWEEP_JOBS = 1024


def _refuse_nan(_ctx: object, _param: object, value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # which is in every range
        raise click.BadParameter("nan is not a number.")
    return value


def _complete_name(_ctx: object, _param: object, begun: str) -> list[str]:
    return [name for name in (*GROUPS, *NAMES) if name.startswith(begun)]


def _parse_sizes(_ctx: object, _param: object, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    sizes = []
    for part in value.split(","):
        text = part.strip()
        if not (
            text.isascii()
            and text.isdigit()
            and len(text) < 9
            and 0 < int(text) <= _MAX_BLOCK_BYTES
        ):
            raise click.BadParameter(
                f"{part!r} is not a size from 1 to {_MAX_BLOCK_BYTES}; write 64 or 64,1024."
            )
        sizes.append(int(text))
    return tuple(dict.fromkeys(sizes))


@click.command()
@place_options
@click.option(
    "--async-jobs",
    type=click.IntRange(1, _MAX_JOBS),
    metavar="N",
    help=f"How many are under way at once; with --sweep: at most.  [default: 64; {_SWEEP_JOBS}]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, _MAX_SECONDS, min_open=True),
    callback=_refuse_nan,
    metavar="S",
    help="For how long each measurement begins operations.  [default: 3; with --sweep 1]",
)
@click.option("--sweep", is_flag=True, help="Measure with 1, 2, 4 ... jobs, and find the knee.")
@click.option(
    "--bytes",
    "sizes",
    callback=_parse_sizes,
    metavar="N[,N...]",
    help=f"Block sizes for aes-gcm and sha256.  [default: {','.join(map(str, BLOCK_SIZES_BYTES))}]",
)
@click.option("--no-compare", is_flag=True, help="Measure jobs alone: takes a fifth of the time.")
@click.option(
    "--stuck-after-s",
    type=click.FloatRange(0, _MAX_STUCK_AFTER_S, min_open=True),
    callback=_refuse_nan,
    default=30.0,
    show_default=True,
    metavar="S",
    help="Give up when no operation has completed for so long, and the latency.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print a report in CSV on stdout.")
@file_option("--plot", "FILE.png", "Draw a picture, too (.png, .svg or .pdf).", required=False)
@click.argument("names", nargs=-1, metavar="[ALGORITHM...]", shell_complete=_complete_name)
def speed(
    engine: EngineOptions,
    async_jobs: int | None,
    seconds: float | None,
    sweep: bool,
    sizes: tuple[int, ...] | None,
    no_compare: bool,
    stuck_after_s: float,
    as_json: bool,
    as_csv: bool,
    plot: Path | None,
    names: tuple[str, ...],
) -> int:
    """Measure how fast operations are as pausable jobs, as openssl speed -async_jobs does.

    For each algorithm, jobs of one asyncio loop have the engine do its operation, again and again,
    so many at once. Told are operations per second, the time of one (median and 99th percentile),
    how many jobs were paused at once, and the longest time by which the loop was late for another
    task meanwhile. In the same run, the same operations are done without jobs: by blocking
    calls one by one, in a thread for each, and by asyncio.to_thread, with its default number of
    threads and with as many as the engine.

    Results are checked; keys are made for the run. --latency-ms is added to each operation, where
    it is done.

    The knee, with --sweep, is the smallest number of jobs that reaches 90 % of the best throughput:
    more of them make each wait longer, and little else.

    \b
    Algorithms (none: all of them):
      rsa2048-sign  rsa2048-decrypt  rsa3072-sign  rsa3072-decrypt
      rsa4096-sign  rsa4096-decrypt  ecdsap256  ecdsap384  ed25519
      x25519  aes-gcm  sha256
    and for several: rsa  rsa2048  rsa3072  rsa4096  ecdsa  ecdh

    \b
    Example:
      pausable speed rsa2048 ecdsap256
      pausable speed --latency-ms 20 --sweep rsa2048 --plot speed.png
      pausable speed --engine processes --bytes 16384 --json aes-gcm

    \b
    Exit codes:
      0    everything was measured
      1    an operation failed, was stuck, or had a wrong result
      2    nothing was measured: an option is wrong
      130  interrupted by Ctrl-C; what was measured is printed
    """  # noqa: D301  # \b is click's mark for lines to be kept as they are
    from pausable.cli.speed._run import Wish, measure_and_report

    if as_json and as_csv:
        raise Refusal("--json and --csv both want stdout; choose one")
    chosen = chosen_names(names)
    if sizes is not None and not set(chosen) & set(BLOCK_ALGORITHMS):
        raise Refusal(
            f"--bytes is for {' and '.join(BLOCK_ALGORITHMS)}, and neither is asked for; name one,"
            " or omit it"
        )
    return measure_and_report(
        Wish(
            names=chosen,
            sizes_bytes=sizes or BLOCK_SIZES_BYTES,
            engine=engine,
            jobs=async_jobs or (_SWEEP_JOBS if sweep else 64),
            seconds=seconds or (1.0 if sweep else 3.0),
            sweep=sweep,
            compare=not no_compare,
            stuck_after_s=stuck_after_s,
            form="json" if as_json else "csv" if as_csv else "table",
            plot=plot,
        )
    )
