"""The pytest plugin: tests that leave jobs behind are told, and spoil nothing."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import pausable

HEAD = """\
import gc, threading, pytest, pausable

def sign(seen=None):
    try:
        pausable.pause()
    finally:
        if seen is not None:
            seen.append("unwound")

kept = []

"""


PLUGINS = ("-p", "pausable.pytest_plugin", "-p", "no:cacheprovider")


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Load no plugin but ours, and by its module: it need not be installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(pausable.__file__).parents[1]))
    return pytester


@pytest.fixture
def run(pytester):
    """Run a test module under the plugin, in this process."""

    def run(source, *args, ini=""):
        pytester.makeini(f"[pytest]\nfilterwarnings = default\n{ini}")
        pytester.makepyfile(HEAD + textwrap.dedent(source))
        return pytester.runpytest_inprocess(*PLUGINS, *args)

    return run


LEAKY = """
    def test_leaks():
        kept.append(pausable.start(sign, kept))

    def test_next():
        assert [str(item) for item in kept[1:]] == ["unwound"]
        assert kept[0].cancelled()
"""


def test_a_test_that_leaves_a_job_has_an_error_and_the_next_one_is_not_affected(run):
    result = run(LEAKY)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([
        "*ERROR at teardown of test_leaks*",
        "*::test_leaks left 1 job paused; use `with pausable.start(...) as job:`*",
        "*<Job 'sign-*' paused>, paused at",
        "*in sign",
        "*pausable.pause()",
    ])  # fmt: skip


def test_a_test_that_ends_its_jobs_passes(run):
    result = run("""
        def test_closes():
            with pausable.start(sign) as job:
                assert job.paused

        def test_finishes():
            pausable.start(sign).resume()

        def test_without_jobs():
            pass
    """)
    result.assert_outcomes(passed=3)


@pytest.mark.filterwarnings("ignore:a paused job was dropped:ResourceWarning")
def test_a_job_whose_handle_was_dropped_is_seen_and_unwound(run):
    result = run("""
        seen = []

        def test_drops():
            pausable.start(sign, seen)

        def test_drops_in_a_cycle():
            assert seen == ["unwound"]
            cycle = [pausable.start(sign, seen)]
            cycle.append(cycle)

        def test_next():
            assert seen == ["unwound"] * 2
            assert pausable.thread_pool().stats().paused == 0
    """)
    result.assert_outcomes(passed=3, errors=2, warnings=1)
    result.stdout.fnmatch_lines(["*a job whose handle was dropped, paused at"] * 2)


def test_a_lost_job_whose_cleanup_pauses_is_unwound_to_the_end(run):
    result = run("""
        seen = []

        def cleans_up():
            try:
                pausable.pause()
            finally:
                pausable.pause()
                seen.append("cleaned up")

        def test_drops():
            pausable.start(cleans_up)

        def test_next():
            assert seen == ["cleaned up"]
    """)
    result.assert_outcomes(passed=2, errors=1, warnings=1)


def test_a_job_that_cannot_be_unwound_is_told_once(run):
    result = run("""
        stuck = threading.Event()

        def holds_on():
            try:
                pausable.pause()
            finally:
                while not stuck.is_set():
                    pausable.pause()

        def test_leaks():
            kept.append(pausable.start(holds_on))

        def test_next():
            pass

        def test_last():
            stuck.set()
            kept[0].resume()
    """)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*It could not be unwound: *still cleaning up*"])


def test_a_job_that_exits_while_it_is_unwound_does_not_end_the_tests(run):
    result = run("""
        def exits():
            try:
                pausable.pause()
            finally:
                raise SystemExit(3)

        def test_leaks():
            kept.append(pausable.start(exits))

        def test_next():
            pass
    """)
    result.assert_outcomes(passed=2, errors=1)


def test_a_job_left_in_a_pool_of_its_own_is_seen(run):
    result = run("""
        def test_leaks():
            pool = pausable.JobPool()
            kept.append(pool.start(sign))
    """)
    result.assert_outcomes(passed=1, errors=1)


def test_a_job_of_another_thread_is_named_with_it_and_asked_to_end(run):
    result = run("""
        @pytest.fixture(scope="module")
        def thread():
            go_on, started, woken = threading.Event(), threading.Event(), threading.Event()
            ended = []

            def body():
                job = pausable.start(sign, ended)
                job.wait_ctx.set_callback(woken.set)
                started.set()
                woken.wait()
                job.close()

            thread = threading.Thread(target=body, name="worker")
            yield lambda: (thread.start(), started.wait())
            thread.join()
            assert ended == ["unwound"]

        def test_leaks(thread):
            thread()
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*<Job 'sign-*' paused> in thread 'worker', paused at"])


def test_jobs_of_wider_fixtures_are_not_the_tests(run):
    result = run("""
        @pytest.fixture(scope="module")
        def job():
            with pausable.start(sign) as job:
                yield job

        def test_first(job):
            assert job.paused

        def test_second(job):
            assert job.paused
    """)
    result.assert_outcomes(passed=2)


def test_the_users_own_tidying_comes_first(run, pytester):
    pytester.makeconftest("""
        import pytest, pausable

        @pytest.fixture(autouse=True)
        def tidy():
            yield
            pausable.cleanup_thread(cancel=True)
    """)
    result = run("""
        def test_leaves_it_to_the_fixture():
            kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(passed=1)


def test_a_fixture_of_the_test_that_leaves_a_job_is_told_and_one_that_ends_it_is_not(run):
    result = run("""
        @pytest.fixture
        def ends():
            with pausable.start(sign) as job:
                yield job

        @pytest.fixture
        def leaves():
            job = pausable.start(sign)
            kept.append(job)
            yield job

        def test_good(ends):
            assert ends.paused

        def test_bad(leaves):
            assert leaves.paused
    """)
    result.assert_outcomes(passed=2, errors=1)


def test_a_fibre_that_is_used_again_does_not_hide_a_leak(run):
    result = run("""
        @pytest.fixture(scope="module")
        def job():
            return pausable.start(sign)

        def test_leaks(job):
            job.resume()
            kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(passed=1, errors=1)


def test_a_failed_test_gets_a_section_and_no_second_error(run):
    result = run("""
        seen = []

        def test_fails():
            job = pausable.start(sign, seen)
            assert False

        def test_next():
            assert seen == ["unwound"]
    """)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*jobs left behind teardown*", "*left 1 job paused*"])


def test_an_expected_failure_stays_one_and_an_expected_skip_too(run):
    result = run("""
        @pytest.mark.xfail(strict=True)
        def test_fails():
            job = pausable.start(sign)
            assert False

        def test_skips():
            job = pausable.start(sign)
            pytest.skip("here")
    """)
    result.assert_outcomes(xfailed=1, skipped=1)


def test_an_xfail_for_a_reason_of_its_own_does_not_excuse_a_leak(run):
    result = run("""
        @pytest.mark.xfail(raises=OSError)
        def test_passes_unexpectedly():
            kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(xpassed=1, errors=1)


def test_a_teardown_that_fails_too_is_told_as_well(run):
    result = run("""
        @pytest.fixture
        def failing():
            yield
            raise LookupError("of the fixture")

        def test_leaks(failing):
            kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines_random(["*LookupError: of the fixture*", "*left 1 job paused*"])


def test_the_ini_option_makes_it_a_warning(run):
    result = run(LEAKY, ini="pausable_leaks = warn")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*PausableLeakWarning: *::test_leaks left 1 job paused*"])


def test_the_ini_option_turns_it_off(run):
    result = run(
        """
        def test_leaks():
            kept.append(pausable.start(sign))

        def test_next():
            assert kept[0].paused
            kept[0].close()
        """,
        ini="pausable_leaks = off",
    )
    result.assert_outcomes(passed=2)


def test_the_marker_is_for_one_test_and_wins(run):
    result = run("""
        @pytest.mark.pausable_leaks("off")
        def test_leaks():
            kept.append(pausable.start(sign))

        @pytest.mark.pausable_leaks("warn")
        def test_leaks_too():
            kept.pop().close()
            kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(passed=2, warnings=1)


@pytest.mark.parametrize("marker", ['"quiet"', "", '"off", "warn"', 'mode="off"'])
def test_a_wrong_marker_is_refused(run, marker):
    result = run(f"""
        @pytest.mark.pausable_leaks({marker})
        def test_it():
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.re_match_lines([".*(off, warn, error, not 'quiet'|the marker takes one mode)"])


def test_a_wrong_ini_option_is_refused(run):
    result = run("", ini="pausable_leaks = quiet")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pausable_leaks has to be one of off, warn, error, not 'quiet'"])


def test_the_fixtures_give_an_engine_and_a_loop(run):
    result = run("""
        def test_signs(pausable_engine, pausable_loop):
            job = pausable_loop.start(pausable_engine.call, "x")
            pausable_engine.finish("x", 1)
            pausable_loop.step()
            assert job.result() == 1

        def test_is_left(pausable_engine, pausable_loop):
            pausable_loop.start(pausable_engine.call, "x")
    """)
    result.assert_outcomes(passed=2)


def test_it_serves_unittest_too(run):
    result = run("""
        import unittest

        class Test(unittest.TestCase):
            def test_leaks(self):
                kept.append(pausable.start(sign))
    """)
    result.assert_outcomes(passed=1, errors=1)


def test_tests_without_jobs_collect_no_garbage_and_import_no_fakes(pytester):
    pytester.makepyfile("""
        import gc, sys

        def collected():
            return gc.get_stats()[2]["collections"]

        at_first = collected()

        def test_one():
            pass

        def test_two():
            assert collected() == at_first
            assert "pausable.testing" not in sys.modules
    """)
    result = pytester.runpytest_subprocess(*PLUGINS)
    result.assert_outcomes(passed=2)


def test_the_guides_tests_pass(pytester):
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    pytester.makepyfile("\n".join(blocks))
    pytester.runpytest_inprocess(*PLUGINS).assert_outcomes(passed=5)


def test_this_suite_is_not_under_the_plugin(request):
    manager = request.config.pluginmanager
    assert not any(map(manager.has_plugin, ("pausable", "pausable.pytest_plugin")))
    assert pausable.thread_pool().stats().paused == 0
