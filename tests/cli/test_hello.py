MANUAL_PAGE = """\
Starting...
Executing within a job
Passed in message is: Hello world!
Job was paused
Waiting for the job to be woken up
Resumed the job after a pause
Job finished with return value 1
Finishing
"""


def test_hello_prints_what_the_manual_page_says(pausable_cli):
    assert pausable_cli("hello") == (0, MANUAL_PAGE, "")


def test_module_runs_as_a_program(python):
    assert python("-m", "pausable", "hello") == (0, MANUAL_PAGE, "")


def test_without_a_command_help_is_shown(pausable_cli):
    ended = pausable_cli()
    assert ended.code == 0
    assert "sign" in ended.out
    assert "hello" in ended.out


def test_unknown_command_is_refused_on_one_line(pausable_cli):
    ended = pausable_cli("bogus")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "bogus" in ended.err


def test_missing_extra_is_named_on_one_line(python):
    code = "import sys; sys.modules['click'] = None; from pausable.__main__ import main; main()"
    ended = python("-c", code, "hello")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "pip install 'pausable[cli]'" in ended.err


def test_start_up_imports_neither_rich_nor_cryptography_nor_asyncio(python):
    code = (
        "import sys; from pausable.cli._main import run; run(['hello']);"
        "print([m for m in ('rich', 'cryptography', 'asyncio') if m in sys.modules])"
    )
    assert python("-c", code).out.splitlines()[-1] == "[]"
