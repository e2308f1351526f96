"""Runs that are killed, interrupted, or meet each other."""

import fcntl
import json
import signal
from pathlib import Path

import pytest

from pausable.cli._files import discard_stale, temporary_name, write_atomically


def _start_and_see_some_signed(spawn, keys, paths, *args):
    names = [path.name for path in paths]
    process = spawn("sign", "--key", keys["p256"], "--latency-ms", "50", *args, *names)
    for _ in range(20):
        assert process.stdout.readline().startswith("signed")
    return process


def _all_signed(keys, paths):
    return all(keys.accepts("p256", path, f"{path}.sig") for path in paths)


def test_killed_run_is_continued_and_leaves_nothing(pausable_cli, spawn, keys, files, leftovers):
    paths = files(500)
    process = _start_and_see_some_signed(spawn, keys, paths)
    process.kill()
    process.wait()
    done = [path for path in paths if Path(f"{path}.sig").exists()]
    assert 20 <= len(done) < 500
    assert _all_signed(keys, done)
    ended = pausable_cli("sign", "--key", keys["p256"], "--json", *paths)
    report = json.loads(ended.out)
    assert (ended.code, report["skipped"], report["failed"]) == (0, len(done), 0)
    assert _all_signed(keys, paths)
    assert leftovers() == []


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_unwinds_every_job_and_leaves_no_partial_file(spawn, keys, files, leftovers, times):
    paths = files(500)
    process = _start_and_see_some_signed(spawn, keys, paths, "--jobs", "16")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    signed = [path for path in paths if Path(f"{path}.sig").exists()]
    assert process.returncode == 130
    assert err == f"pausable: interrupted; {len(signed)} files were signed; run it again to go on\n"
    assert 20 <= len(signed) < 500
    assert _all_signed(keys, signed)
    assert leftovers() == []


def test_ctrl_c_ends_a_slow_key_operation_at_once(spawn, keys, files):
    (path,) = files(1)
    process = spawn("sign", "--key", keys["rsa"], "--latency-ms", "3600000", path, "--json")
    while len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1:  # no worker yet
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, err) == (
        130,
        "pausable: interrupted; 0 files were signed; run it again to go on\n",
    )
    assert json.loads(out)["interrupted"] is True


def test_two_runs_at_once_leave_valid_signatures(spawn, keys, files, leftovers):
    paths = files(100)
    names = [path.name for path in paths]
    runs = [spawn("sign", "--key", keys["p256"], *order) for order in (names, names[::-1])]
    for run in runs:
        assert run.communicate()[1] == ""
        assert run.returncode == 0
    assert _all_signed(keys, paths)
    assert leftovers() == []


@pytest.mark.parametrize("valid", [True, False])
def test_what_a_killed_run_left_is_removed(pausable_cli, keys, text, signature, leftovers, valid):
    if valid:
        pausable_cli("sign", "--key", keys["rsa"], text)
    temporary_name(signature).write_bytes(bytes(10_000))
    assert pausable_cli("sign", "--key", keys["rsa"], text).code == 0
    assert keys.accepts("rsa", text, signature)
    assert leftovers() == []


def test_what_another_run_is_writing_is_not_removed(signature):
    temporary = temporary_name(signature)
    with temporary.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        discard_stale(signature)
        assert temporary.exists()
    discard_stale(signature)
    assert not temporary.exists()


def test_writing_does_not_follow_a_link_that_somebody_left(signature, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    temporary_name(signature).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(signature, b"x")
    assert victim.read_text() == "precious"


def test_failed_write_keeps_the_old_content(tmp_path, listing):
    target = tmp_path / "target"
    target.write_text("old")
    with pytest.raises(TypeError):
        write_atomically(target, None)
    assert (target.read_text(), listing()) == ("old", ["target"])
