"""Options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

__all__ = [
    "EngineOptions",
    "digest_option",
    "engine_options",
    "file_option",
    "json_option",
    "passin_option",
    "place_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_MAX_JOBS = 100_000
#: Threads of the system.
_MAX_WORKERS = 1024
_MAX_BATCH = 100_000
#: An hour.
_MAX_LATENCY_MS = 3_600_000.0


@dataclass(frozen=True)
class EngineOptions:
    """What does the private-key operations, as asked for."""

    #: "threads", "processes" or "dask".
    kind: str
    #: Of the cluster's scheduler.
    address: str
    workers: int | None
    batch: int
    #: Seconds that each trip to the key takes longer, as if it were far away.
    latency_s: float

    @property
    def name(self) -> str:
        """What --engine was."""
        return f"{self.kind}://{self.address}" if self.address else self.kind

    def workers_for(self, default: int) -> int:
        """Return how many there are to be."""
        return self.workers or min(default, _MAX_WORKERS)


def _parse_engine(_ctx: object, _param: object, value: str) -> tuple[str, str]:
    """Return the kind and the address of threads, processes or dask://ADDRESS."""
    kind, _, address = value.partition("://")
    if value in {"threads", "processes"} or (kind == "dask" and _is_address(address)):
        return kind, address
    raise click.BadParameter(
        f"{value!r} is not threads, processes or dask://HOST:PORT, where a scheduler is."
    )


def _is_address(address: str) -> bool:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536


def _complete_engine(_ctx: object, _param: object, begun: str) -> list[str]:
    return [each for each in ("threads", "processes", "dask://") if each.startswith(begun)]


def _check_latency(_ctx: object, _param: object, value: float) -> float:
    if not (math.isfinite(value) and 0 <= value <= _MAX_LATENCY_MS):
        raise click.BadParameter(f"{value} is not in the range 0 to {_MAX_LATENCY_MS:.0f}.")
    return value


_JOBS = click.option(
    "--jobs",
    type=click.IntRange(1, _MAX_JOBS),
    default=64,
    show_default=True,
    help="How many are in flight at once.",
)

_PLACE = (
    click.option(
        "--engine",
        callback=_parse_engine,
        shell_complete=_complete_engine,
        default="threads",
        show_default=True,
        metavar="threads|processes|dask://HOST:PORT",
        help="What does the operations.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, _MAX_WORKERS),
        help="Threads or processes for them.  [default: threads as jobs, at most"
        f" {_MAX_WORKERS}; a process for each processor]",
    ),
)

_BATCH = click.option(
    "--batch",
    type=click.IntRange(1, _MAX_BATCH),
    default=1,
    show_default=True,
    help="The most key operations that go together.",
)

_LATENCY = click.option(
    "--latency-ms",
    type=float,
    default=0.0,
    metavar="MS",
    callback=_check_latency,
    help="Make each trip to the key take longer, as to a remote key.",
)


def engine_options(command: F) -> F:
    """Add what says how the key is used; the command gets `jobs` and `engine`, EngineOptions."""
    return _add(command, (_JOBS, *_PLACE, _BATCH, _LATENCY))


def place_options(command: F) -> F:
    """Add what says where operations are done; the command gets `engine`, EngineOptions."""
    return _add(command, (*_PLACE, _LATENCY))


def _add(command: F, options: Sequence[Callable[[F], F]]) -> F:
    @wraps(command)
    def wrapper(
        *,
        engine: tuple[str, str],
        workers: int | None,
        latency_ms: float,
        batch: int = 1,
        **others: Any,
    ) -> Any:
        given = EngineOptions(*engine, workers, batch, latency_ms / 1000)
        return command(engine=given, **others)

    added = cast("F", wrapper)
    for option in reversed(options):
        added = option(added)
    return added


def file_option(name: str, metavar: str, help: str, *, required: bool = True) -> Callable[[F], F]:  # noqa: A002  # click's name
    """Return an option that names a file or directory."""
    path = click.Path(path_type=Path)
    return click.option(name, required=required, type=path, metavar=metavar, help=help)


def digest_option(help: str) -> Callable[[F], F]:  # noqa: A002
    """Return --digest."""
    return click.option("--digest", type=click.Choice(["sha256", "sha384", "sha512"]), help=help)


def passin_option(command: F) -> F:
    """Add --passin."""
    return click.option(
        "--passin",
        metavar="env:NAME",
        help="Environment variable with the key's passphrase.  [default: ask on the terminal]",
    )(command)


def json_option(command: F) -> F:
    """Add --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print a report in JSON on stdout."
    )(command)
