"""Rules of the house that a look at the tree can settle."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("workflows", "activities", "infra", "workers", "api")
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "service", "base", "misc"}

product = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_is_ours(package: str) -> None:
    """The names are generic by choice: an environment in which one is somebody else's would run their code."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT)


@pytest.mark.parametrize("path", product, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_by_its_name_what_it_is_about(path: Path) -> None:
    assert path.stem not in SAYS_NOTHING
    assert len(path.read_text().splitlines()) <= 400


def test_workflow_modules_do_nothing_on_import_but_define() -> None:
    """Replays import workflows anew: whatever ran on import would run again, and differently."""
    import ast

    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    for path in (ROOT / "workflows").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert docstring or isinstance(node, allowed), f"{path.name}:{node.lineno} runs on import"
