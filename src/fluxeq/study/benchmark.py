"""A study extended by a user's function as a family, under the same name."""

from fluxeq.config import validated
from fluxeq.errors import InputError
from fluxeq.study.extension import as_toml
from fluxeq.study.shared import with_shared_families
from fluxeq.study.study import Study, StudyText, content, load_study


def with_function(study: str, function: str, section: str) -> StudyText:
    """The study with the function added as a family of a section, named after the function.

    Raises InputError if the study or section does not exist, or a family has the same name.
    """
    base = load_study(study)
    base.require_section(section)
    name, families = function.rpartition(":")[2], base.tasks[section].families
    if name in families:
        raise InputError(f"function {function!r}: the study already has a family {name!r}; rename the function")
    found = with_shared_families(content(study))
    described = {each: family.model_dump(mode="json", exclude_defaults=True) for each, family in families.items()}
    found["tasks"][section]["families"] = described | {name: {"function": function}}
    return StudyText(validated(Study, study, found), as_toml(found))
