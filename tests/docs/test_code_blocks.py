"""Every Python block in the README and in docs/ runs; a page's blocks share one namespace."""

import re
import shutil
import subprocess
import sys

import pytest

import pausable
from docs._support import PAGES, ROOT, blocks_of, name, outside_of_blocks
from pausable.engines import BatchEngine, ExecutorEngine

#: Languages of blocks that are not run: what is printed, C, a shell's commands, settings.
OTHER = {"text", "c", "shell", "toml", "ini"}
#: The first lines of blocks in `py`: they need a server, so they have tests of their own below.
WITH_SERVER = {
    'with distributed.Client("tcp://scheduler:8786") as client, ExecutorEngine(client) as engine:',
    "def execute(commands):",
}


def program_of(page):
    """Return the page's Python blocks as one program, with the page's line numbers."""
    lines = []
    for block in blocks_of(page):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n" if lines else None


def run(page, folder):
    program = folder / "program.py"
    program.write_text(program_of(page))
    command = [sys.executable, "-W", "error", program]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=100
    )


@pytest.mark.parametrize("page", [page for page in PAGES if program_of(page)], ids=name)
def test_every_block_of_the_page_runs(page, tmp_path):
    done = run(page, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_the_page_says_what_it_is(page):
    known = {"python", "py"} | OTHER
    assert [block for block in blocks_of(page) if block.language not in known] == []
    # Python that hides behind another name, or is indented only, would not be run.
    python = re.compile(r"^\s*(import \w+|from \w+ import|(async )?def \w+\()")
    hidden = [block.text for block in blocks_of(page) if block.language in OTHER]
    lines = "".join(hidden).splitlines() + outside_of_blocks(page)
    assert [line for line in lines if python.match(line)] == []


def test_the_tutorial_prints_what_it_says(tmp_path):
    tutorial = ROOT / "docs" / "tutorial" / "index.md"
    said = "".join(block.text for block in blocks_of(tutorial) if block.language == "text")
    assert said.count("\n") > 10
    assert run(tutorial, tmp_path).stdout == said


def block_in_py(first_line):
    [text] = [
        block.text
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "py" and block.text.startswith(first_line)
    ]
    return text


def test_blocks_that_need_a_server_have_a_test_here():
    left_out = [block.text for page in PAGES for block in blocks_of(page) if block.language == "py"]
    assert {text.splitlines()[0] for text in left_out} == WITH_SERVER
    assert len(left_out) == len(WITH_SERVER)


@pytest.mark.filterwarnings("default")  # dask's own
def test_the_block_for_dask_runs_on_a_cluster():
    distributed = pytest.importorskip("distributed")
    block = block_in_py("with distributed.Client(")
    with distributed.LocalCluster(
        n_workers=1, processes=False, host="127.0.0.1", protocol="tcp", dashboard_address=None
    ) as cluster:
        names = {
            "distributed": distributed,
            "pausable": pausable,
            "ExecutorEngine": ExecutorEngine,
            "analyse": abs,
            "chunks": range(-20, 0),
        }
        exec(block.replace("tcp://scheduler:8786", cluster.scheduler_address), names)
    assert names["results"] == list(range(20, 0, -1))


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_the_block_for_redis_runs_on_a_server(tmp_path):
    redis = pytest.importorskip("redis")
    path = tmp_path / "socket"
    command = ["redis-server", "--port", "0", "--unixsocket", path, "--dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            patience = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200)
            with redis.Redis(unix_socket_path=str(path), retry=patience) as client:
                client.set("key", "what it was")
                names = {"client": client, "BatchEngine": BatchEngine}
                exec(block_in_py("def execute(commands):"), names)
                assert names["value"] == b"what it was"
                names["redis_engine"].close()
        finally:
            server.terminate()


def test_tests_named_in_the_porting_guide_exist():
    guide = (ROOT / "docs" / "how-to" / "porting.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "openssl").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", guide))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []
