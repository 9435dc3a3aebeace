"""A study with a function of somebody else among its families, under the name of the study."""

from fluxeq.errors import InputError
from fluxeq.study.extension import as_toml
from fluxeq.study.shared import with_shared_families
from fluxeq.study.study import StudyText, content, load_study, study_of


def with_function(study: str, function: str, section: str) -> StudyText:
    """The study with the function as one more family of a section, under its own name.

    Raises InputError if there is no such study or section, or a family has the name.
    """
    tasks = load_study(study).tasks
    if section not in tasks:
        raise InputError(f"task {section!r}: choose among {', '.join(tasks)}")
    name, families = function.rpartition(":")[2], tasks[section].families
    if name in families:
        raise InputError(f"function {function!r}: the study has a family {name!r}; give yours another name")
    found = with_shared_families(content(study))
    described = {each: family.model_dump(mode="json", exclude_defaults=True) for each, family in families.items()}
    found["tasks"][section]["families"] = described | {name: {"function": function}}
    return StudyText(study_of(study, found), as_toml(found))
