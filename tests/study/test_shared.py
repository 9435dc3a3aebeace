"""Families shared by sections."""

import pytest

from fluxeq.errors import InputError
from fluxeq.study.family import Family
from fluxeq.study.shared import with_shared_families
from fluxeq.study.study import load_study, study_text

NETWORK = {"config": {"blocks": [{"channels": 2, "kernel": 2}]}}
SHARED = {
    "EQ": {},
    "FL": {"networks": [NETWORK]},
    "FL, augmented": {"like": "FL", "augmentation": True},
    "again": {"like": "FL, augmented", "augmentation": False},
    "theirs": {"function": "a:b"},
}


def resolved(names, shared=SHARED):
    content = with_shared_families(
        {"families": shared, "tasks": {"a": {"families": names}, "b": {"families": {"EQ": {}}}}}
    )
    return content["tasks"]["a"]["families"]


def test_a_section_has_the_families_that_it_lists_in_this_order():
    found = resolved(["FL, augmented", "EQ", "again", "theirs"])
    assert list(found) == ["FL, augmented", "EQ", "again", "theirs"]
    assert Family.model_validate(found["EQ"]) == Family(architecture="EQ")
    augmented = {"architecture": "FL", "networks": [NETWORK], "augmentation": True}
    assert found["FL, augmented"] == augmented
    assert found["again"] == augmented | {"augmentation": False}
    assert found["theirs"] == {"function": "a:b"}


@pytest.mark.parametrize(
    ("names", "shared", "message"),
    [
        (["ST"], SHARED, "families: 'ST': choose among EQ, FL, "),
        ([3], SHARED, "families: 3: choose among"),
        ([], {"a": {"like": "b"}}, "families: 'b': choose among a"),
        ([], {"a": {"like": "b"}, "b": {"like": "a"}}, "circular 'like'"),
        ([], {"a": {"like": "a"}}, r"families\.a: circular 'like'"),
        ([], {"a": {"like": 1}}, "families: 1: choose among a"),
    ],
)
def test_what_is_not_there_is_named(names, shared, message):
    with pytest.raises(ValueError, match=message):
        resolved(names, shared)


@pytest.mark.parametrize(
    "content", [{}, {"families": 3, "tasks": {}}, {"families": {}, "tasks": 3}, {"families": {"a": 1}}]
)
def test_what_is_no_table_is_left_to_the_validation(content):
    assert with_shared_families(content) == content


def test_a_study_that_extends_one_with_shared_families(tmp_path):
    """Its own families are added to them, and the resulting text is complete."""
    path = tmp_path / "mine.toml"
    families = '"ST, last" = false\nmine = { architecture = "EQ" }\n'
    path.write_text(f'name = "mine"\nextends = "quick"\n[tasks.detection.families]\n{families}')
    study, quick = load_study(path), load_study("quick")
    names = [name for name in quick.tasks["detection"].families if name != "ST, last"]
    assert list(study.tasks["detection"].families) == [*names, "mine"]
    alone = tmp_path / "alone.toml"
    alone.write_text(study_text(path))
    assert load_study(alone) == study


def test_an_unknown_name_in_a_study_is_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nextends = "quick"\ntasks.detection.families = ["EG"]\n')
    with pytest.raises(InputError, match=r"mine\.toml: .*families: 'EG': choose among EQ, ") as refusal:
        load_study(path)
    assert "\n" not in str(refusal.value)
