"""`pausable completion`: how a shell learns to complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from pausable.cli._output import say

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and their values.

    \b
    In the file that the shell reads when it starts:
      ~/.bashrc (bash 4.4 or later):
        eval "$(pausable completion bash)"
      ~/.zshrc, after compinit:
        eval "$(pausable completion zsh)"
      ~/.config/fish/config.fish:
        pausable completion fish | source
    """  # noqa: D301  # click looks for a backspace
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "pausable", "_PAUSABLE_COMPLETE")
    # Not bash's own source(): that runs a bash to see its version, which is not this user's shell.
    say(ShellComplete.source(script))
