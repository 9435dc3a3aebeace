"""Options with JSON: the text itself, or a file with it."""

import pytest

from fluxeq.cli.arguments import load_config, recipe_of, space_of
from fluxeq.errors import InputError


@pytest.mark.parametrize(
    ("read", "text"),
    [(recipe_of, '{"epochs": 3}'), (space_of, ' {"channels": [2]}'), (load_config, '{"blocks": []}')],
)
def test_a_text_is_read_like_a_file_with_it(tmp_path, read, text):
    (tmp_path / "fields.json").write_text(text)
    assert read(text) == read(str(tmp_path / "fields.json")) != read(None)


def test_recipe_settings_of_a_search():
    assert load_config('{"config": {"blocks": []}, "recipe": {"epochs": 3}}') == ({"blocks": []}, {"epochs": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{epochs: 3}", "recipe '{epochs: 3}': not JSON "),
        ('{"epochs": 3', "not JSON "),
        ('{"a": ' * 10**5, "not JSON "),
        ('{"epoch": 3}', "recipe: epoch is unknown; did you mean epochs?"),
        ("[3]", r"^\[3\]: no such file"),
        ("", "recipe '': not JSON "),
        (" ", "recipe ' ': not JSON "),
    ],
)
def test_a_text_that_is_no_recipe(text, message):
    with pytest.raises(InputError, match=message):
        recipe_of(text)
