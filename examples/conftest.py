"""Runs the tests of each example in its own folder, as its reader would."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _in_its_folder(request: pytest.FixtureRequest) -> Iterator[None]:
    folder = request.path.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield
    for name, module in list(sys.modules.items()):
        if str(folder) in str(getattr(module, "__file__", "")) and not name.startswith("test_"):
            del sys.modules[name]
