"""The layers of DESIGN.md: a module imports only from layers below its own.

A new module has to be given its layer here, or the tests fail.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pausable

ROOT = Path(pausable.__file__).parent

#: Module or package (with all that is in it) -> layer.
LAYERS = {
    "errors": 0,
    "_callable": 0,
    "_report": 0,
    "_state": 1,
    "_backend": 1,
    "_native_platforms": 1,
    "_fibre": 1,
    "_fibre_greenlet": 1,
    "_fibre_native": 1,
    "_frames": 1,
    "_selftest": 1,
    "_thread_local": 1,
    "_clock": 1,
    "_timer": 1,
    "_wait_context": 1,
    "_waker": 1,
    "_wakefd": 1,
    "_patience": 1,
    "_cancel": 2,
    "_driver": 2,
    "_dump": 2,
    "_debug": 2,
    "_handle": 2,
    "_hooks": 2,
    "_job": 2,
    "_lost": 2,
    "_mixed": 2,
    "_running_loop": 2,
    "_pool": 2,
    "_threads": 2,
    "_watch": 2,
    "_blocking": 2,
    "_sleep": 3,
    "_wait_for": 3,
    "loops": 4,
    "openssl": 4,
    "engines": 5,
    "testing": 5,
    "prometheus": 5,
    "pytest_plugin": 6,
    "keys": 6,
    "cli": 7,
    "__main__": 7,
    "__init__": 8,  # the public face: sees everything, and nothing sees it
}

#: Layers whose modules may import from each other.
OPEN = {1, 2, 4, 5, 6, 7}

#: But packages of one layer that know nothing of each other.
APART = [{"loops", "openssl"}, {"testing", "prometheus"}, {"keys", "pytest_plugin"}]

#: (package, from where it may be imported at all)
ONLY_IN = {
    "greenlet": {"_fibre_greenlet"},
    "click": {"cli", "__main__"},
    "cryptography": {"keys", "cli"},
    "rich": {"cli", "__main__"},
    "matplotlib": {"cli"},
    "prometheus_client": {"prometheus"},
    "pytest": {"pytest_plugin"},
}

#: They use the library as our users do.
PUBLIC = {"cli", "__main__", "testing", "prometheus", "pytest_plugin", "keys"}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def part(module):
    """Return the key of LAYERS for a module."""
    return module.split(".")[0]


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(module, *, top_only=False, typing=False):
    """Yield the full names that a module imports, at run time unless `typing`."""

    def walk(nodes, top):
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, top) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}: relative import"
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    inner = full.removeprefix("pausable.")
                    known = inner in MODULES or f"{inner}.__init__" in MODULES
                    yield (full if known else node.module), top
            elif is_type_checking(node) and not typing:
                yield from walk(node.orelse, top)
            else:
                function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(ast.iter_child_nodes(node), top and not function)

    tree = ast.parse(MODULES[module].read_text("utf-8"))
    return [name for name, top in walk(tree.body, True) if top or not top_only]


def ours(name):
    """Return the module (of ours) that an import name means, or None."""
    if name == "pausable":
        return "__init__"
    if not name.startswith("pausable."):
        return None
    inner = name.removeprefix("pausable.")
    for candidate in (inner, f"{inner}.__init__"):
        if candidate in MODULES:
            return candidate
    assert name == "pausable._native", f"import of {name}, which does not exist"
    return None


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_layer(module):
    assert part(module) in LAYERS, f"give {module!r} its layer in {__file__}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    here = part(module)
    for name in imports(module, typing=True):
        target = ours(name)
        if target is None or (target == "__init__" and here in PUBLIC):
            continue
        there = part(target)
        down = LAYERS[there] < LAYERS[here]
        beside = LAYERS[there] == LAYERS[here] and (LAYERS[here] in OPEN or here == there)
        apart = here != there and any({here, there} <= both for both in APART)
        message = f"{module} (layer {LAYERS[here]}) imports {name} (layer {LAYERS[there]})"
        assert down or beside, message
        assert not apart, message


@pytest.mark.parametrize("module", MODULES)
def test_packages_are_imported_only_where_they_may_be(module):
    for name in imports(module, typing=True):
        package = name.split(".")[0]
        assert part(module) in ONLY_IN.get(package, {part(module)}), f"{module} imports {name}"


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("module", MODULES)
def test_a_loop_is_imported_with_the_module_only_by_its_own_drivers(module, loop):
    if not module.startswith(f"loops._{loop}"):
        assert loop not in {name.split(".")[0] for name in imports(module, top_only=True)}


def test_there_are_no_cycles():
    graph = {
        module: {ours(name) for name in imports(module, top_only=True)} - {None, module}
        for module in MODULES
    }
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for target in sorted(graph[module]):
                visit(target)
            path.pop()
            done.add(module)

    for module in MODULES:
        visit(module)
