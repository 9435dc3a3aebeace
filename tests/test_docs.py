"""The documentation, beyond the checks of its build: links from outside the site, public names."""

import ast
import re
from pathlib import Path

import h5py
import pytest
import yaml

import fluxeq

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUBLIC = {"fluxeq", *(f"fluxeq.{name}" for name in ("exact", "observables", "statistics", "testing"))}


def private_names(code):
    """Names that some code uses from fluxeq and that are not public."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("fluxeq")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fluxeq"):
            found.append(node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fluxeq":
            found.append("fluxeq" if node.attr in fluxeq.__all__ else f"fluxeq.{node.attr}")
    return [name for name in found if name not in PUBLIC]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_use_what_is_public(path):
    cells = [
        cell for cell in CELL.findall(path.read_text()) if not cell.startswith(("%%bash", "%%writefile mine.toml"))
    ]
    private = [name for cell in cells for name in private_names(re.sub("^%%.*\n", "", cell))]
    assert private == []


def test_private_names_are_found():
    assert private_names("from fluxeq.sampling.chains import Chains") == ["fluxeq.sampling.chains"]
    assert private_names("import fluxeq\nfluxeq.sampling.record()") == ["fluxeq.sampling"]


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_into_the_repository(name):
    """All targets exist."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_how_to_cite_is_complete():
    """The fields required by version 1.2.0 of the Citation File Format, and the current version."""
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == fluxeq.__version__
    for work in (found, *found["references"]):
        assert work["title"]
        assert work["type"] in ("software", "article", "conference-paper")
        for author in work["authors"]:
            assert {"name"} == author.keys() or {"given-names", "family-names"} == author.keys()
    assert found["message"]


def test_the_layout_of_files_is_complete(tmp_path):
    """The page names every array and attribute of both kinds of files."""
    page, path = (DOCS / "reference" / "hdf5.md").read_text(), tmp_path / "e.h5"
    closed = fluxeq.sample(fluxeq.Theory(4.01, 1, 1.5), (4, 4), 8, seed=1)
    names: set[str] = set()

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            names.add(name)

    for ensemble in (closed, fluxeq.open_worms(closed, (0, 1), seed=1)):
        fluxeq.save_ensemble(path, ensemble)
        with h5py.File(path) as file:
            file.visititems(note)
            names |= set(file.attrs)
    assert len(names) > 20
    assert {name for name in names if f"`{name}`" not in page} == set()
