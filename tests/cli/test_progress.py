import os
import pty
import subprocess
import sys


def _read_all(fd):
    content = b""
    try:
        while part := os.read(fd, 10_000):
            content += part
    except OSError:  # the other side is closed
        pass
    return content.decode()


def _sign_with_stderr_on_a_terminal(*args):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pausable", "sign", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = _read_all(ours)
    os.close(ours)
    return process.communicate()[0], shown, process.returncode


def test_terminal_gets_a_bar_and_the_failures(keys, files, tmp_path):
    out, shown, code = _sign_with_stderr_on_a_terminal("--key", keys["rsa"], tmp_path, *files(5))
    assert code == 1
    assert "6/6" in shown
    assert "is a directory; name the files in it" in shown
    assert out.splitlines()[1:] == []
    assert out.startswith("6 files: 5 signed, 0 skipped, 1 failed")


def test_without_a_terminal_each_file_has_a_line(pausable_cli, keys, files):
    *lines, summary = pausable_cli("sign", "--key", keys["rsa"], *files(5)).out.splitlines()
    assert [line.split()[0] for line in lines] == ["signed"] * 5
    assert summary.startswith("5 files: 5 signed, 0 skipped, 0 failed, in ")


def test_rich_is_not_imported_without_a_terminal(python, keys, text):
    code = (
        "import sys; from pausable.cli._main import run; run(sys.argv[1:]);"
        "print('rich' in sys.modules)"
    )
    ended = python("-c", code, "sign", "--key", keys["rsa"], text)
    assert ended.out.splitlines()[-1] == "False"
