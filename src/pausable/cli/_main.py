"""The command `pausable` and how any of its commands ends: one line, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence

import click

import pausable
from pausable.cli._completion import completion
from pausable.cli._exit import FAILED, INTERRUPTED
from pausable.cli._issue_certs import issue_certs
from pausable.cli._issue_tokens import issue_tokens
from pausable.cli._output import say
from pausable.cli._sign import sign
from pausable.cli.speed._command import speed

__all__ = ["run"]


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(pausable.__version__, prog_name="pausable", message="%(prog)s %(version)s")
@click.pass_context
def pausable_command(ctx: click.Context) -> None:
    """Jobs that pause anywhere in a synchronous call stack."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@pausable_command.command()
def hello() -> None:
    """Run the example program of ASYNC_start_job(3)."""
    from pausable.cli._hello import hello as run_hello  # noqa: PLC0415

    run_hello()


for command in (sign, issue_certs, issue_tokens, speed, completion):
    pausable_command.add_command(command)


def run(args: Sequence[str]) -> int:
    """Run `pausable ARGS` and return its exit code: 0, 1, 2 or 130."""
    try:
        code: object = pausable_command.main(list(args), "pausable", standalone_mode=False)
    except click.ClickException as exc:
        say(f"pausable: {_on_one_line(exc)}", err=True)
        return exc.exit_code
    except OSError as exc:  # of files it has been said before; this one is stdout's
        say(f"pausable: the output cannot be written: {exc.strerror or exc}", err=True)
        return FAILED
    except click.Abort:
        say("pausable: interrupted", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _on_one_line(exc: click.ClickException) -> str:
    message = exc.format_message().replace("\n\t", " ").replace("\n", " ")
    if isinstance(exc, click.UsageError) and exc.ctx is not None:  # click's own
        message += f" See {exc.ctx.command_path} --help"
    return message
