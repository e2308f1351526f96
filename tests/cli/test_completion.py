"""Shells complete the command line, with what `pausable completion` prints."""

import os
import pty
import shutil
import subprocess
import sys

import pytest

from pausable.cli._sign import sign

needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="bash is not here")
needs_fish = pytest.mark.skipif(not shutil.which("fish"), reason="fish is not here")
needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not here")

#: Completes the words that it is given, the last one of them begun.
BASH = """
eval "$(pausable completion bash)"
complete -p pausable >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_pausable_completion pausable
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def env(tmp_path):
    """An environment in which `pausable` is a command."""
    program = tmp_path / "bin" / "pausable"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pausable "$@"\n')
    program.chmod(0o755)
    return os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def outcome(command, env):
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=True
    ).stdout.split()


CASES = [
    (["s"], {"sign", "speed"}),
    (["issue-"], {"issue-certs", "issue-tokens"}),
    (["sign", "--engine", ""], {"threads", "processes", "dask://"}),
    (["issue-certs", "--jobs", "3", "--engine", "p"], {"processes"}),
    (["issue-tokens", "--alg", "RS"], {"RS256", "RS384", "RS512"}),
    (["sign", "--digest", "sha3"], {"sha384"}),
    (["speed", "--json", "rsa4"], {"rsa4096", "rsa4096-sign", "rsa4096-decrypt"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
]


@needs_bash
@pytest.mark.parametrize(("words", "offered"), CASES)
def test_bash_offers_what_fits(env, words, offered):
    command = ["bash", "--norc", "-c", BASH, "bash", "pausable", *words]
    assert set(outcome(command, env)) == offered


@needs_bash
def test_bash_offers_every_option(env):
    command = ["bash", "--norc", "-c", BASH, "bash", "pausable", "sign", "--"]
    expected = {name for param in sign.params for name in param.opts if name.startswith("--")}
    assert set(outcome(command, env)) == expected | {"--help"}


@needs_bash
def test_bash_completes_files_at_its_prompt(env, tmp_path):
    (tmp_path / "private.pem").touch()
    setup = tmp_path / "rc"
    setup.write_text(
        'eval "$(pausable completion bash)"; PS1="$ "\n'
    )  # no long folder: lines would wrap
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--rcfile", setup, "-i"],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=tmp_path,
        env=env | {"TERM": "dumb"},
        start_new_session=True,
    )
    os.close(its)
    try:
        os.write(ours, b"pausable sign --key priv\t")
        shown = b""
        while b"private.pem" not in shown:
            shown += os.read(ours, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@needs_fish
@pytest.mark.parametrize(("words", "offered"), CASES)
def test_fish_offers_what_fits(env, words, offered):
    program = f'pausable completion fish | source; complete -C "pausable {" ".join(words)}"'
    lines = subprocess.run(
        ["fish", "-N", "-c", program], env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line.partition("\t")[0] for line in lines} == offered


@needs_zsh
def test_zsh_can_read_it(env, pausable_cli):
    script = pausable_cli("completion", "zsh").out
    assert "compdef _pausable_completion pausable" in script
    subprocess.run(["zsh", "-n"], input=script, env=env, text=True, check=True)


@pytest.mark.parametrize("args", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_refused_on_one_line(pausable_cli, args):
    ended = pausable_cli("completion", *args)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "\t" not in ended.err
