"""`mags completion`"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
      bash:  echo 'eval "$(mags completion bash)"' >> ~/.bashrc
      zsh:   echo 'eval "$(mags completion zsh)"' >> ~/.zshrc
      fish:  mags completion fish > ~/.config/fish/completions/mags.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has these three
    click.echo(kind(ctx.find_root().command, {}, "mags", "_MAGS_COMPLETE").source())
