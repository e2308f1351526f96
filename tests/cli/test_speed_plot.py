"""Pictures of `pausable speed`."""

import pytest

from pausable.cli._options import EngineOptions
from pausable.cli.speed._report import Report
from pausable.cli.speed._result import Figures, Result

SHORT = ["--seconds", "0.02", "--async-jobs", "4"]


@pytest.fixture
def image():
    """Open a picture."""
    pytest.importorskip("matplotlib")
    from PIL import Image

    return Image.open


@pytest.mark.parametrize("sweep", [[], ["--sweep"]])
def test_picture_has_something_in_it(pausable_cli, image, tmp_path, sweep):
    ended = pausable_cli("speed", *SHORT, *sweep, "--plot", "speed.png", "ed25519")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("pausable speed: ")
    with image(tmp_path / "speed.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    for drawn in ("0072B2", "D55E00", "E69F00", "009E73"):  # each way but blocking, by its colour
        assert tuple(bytes.fromhex(drawn)) in colours


def test_other_formats_are_by_the_name(pausable_cli, image, tmp_path):
    ended = pausable_cli("speed", *SHORT, "--no-compare", "--plot", "speed.svg", "ed25519")
    assert (ended.code, ended.err) == (0, "")
    svg = (tmp_path / "speed.svg").read_text()
    assert svg.startswith("<?xml")
    assert svg.rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("speed.bmp", "--plot 'speed.bmp': end the name in .png, .svg or .pdf"),
        ("folder.png", "--plot 'folder.png' is no regular file; choose another name"),
        ("missing/speed.png", "directory 'missing' cannot be written to (No such file"),
        ("/proc/speed.png", "directory '/proc' cannot be written to"),
    ],
)
def test_place_that_will_not_do_is_refused_before_measuring(
    pausable_cli, image, tmp_path, target, what
):
    (tmp_path / "folder.png").mkdir()
    ended = pausable_cli("speed", "--seconds", "60", "--plot", target, "ed25519")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert what in ended.err


def test_picture_that_cannot_be_written_in_the_end_is_reported(capfd, image, tmp_path):
    from pausable.cli.speed._plot import Plot

    folder = tmp_path / "folder"
    folder.mkdir()
    plot = Plot(folder / "speed.png")
    folder.rmdir()
    report = Report(EngineOptions("threads", "", None, 1, 0.0), 1.0, False)
    figures = Figures.of([0.1, 0.2], 0.3, 0.0, 1)
    report.results.append(Result("ed25519", None, 2, "pausable", figures))
    assert plot.save(report) is False
    err = capfd.readouterr().err
    assert (err.count("\n"), "speed.png' cannot be written: No such file" in err) == (1, True)


def test_missing_matplotlib_is_named_before_measuring(python):
    code = (
        "import sys; sys.modules['matplotlib'] = None; from pausable.__main__ import main; main()"
    )
    ended = python("-c", code, "speed", "--seconds", "60", "--plot", "speed.png", "ed25519")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "--plot needs matplotlib: pip install 'pausable[plot]'" in ended.err
