"""`template` of an email: which one, and the variables it is filled with.

Not here: the templates themselves (templates.py), Liquid and its bounds (mta/core/template.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from control_api.errors import FieldError
from control_api.fields import Fields, json_error, line_error
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.template import (
    MAX_SOURCE,
    MAX_SUBJECT,
    MissingVariablesError,
    Rendered,
    Source,
    TemplateError,
    Templates,
)
from storage import templates
from storage.database import Connection, Database

_MAX_ID = 64


@frozen
class TemplateUse:
    """What an email says of its template; id is "tpl_..."."""

    id: str
    variables: Mapping[str, JsonValue]


@frozen
class Loaded:
    """The templates that a request names.

    Attributes:
        kept: reads them, and keeps what was read.
        sources: id -> the published version; None: nothing is published. Other ids are unknown.
    """

    kept: Templates
    sources: Mapping[str, Source | None] = field(default_factory=dict)


async def load(
    database: Database, kept: Templates, tenant_id: int, values: Iterable[JsonValue]
) -> Loaded:
    """Return the templates that emails, as they came, name; those that there are not are absent."""
    names = {name for value in values for name in _names(value)}
    if not names:
        return Loaded(kept)
    return Loaded(kept, await database.read(lambda db: _published(db, tenant_id, names)))


def _names(value: JsonValue) -> Iterable[str]:
    use = value.get("template") if isinstance(value, dict) else None
    name = use.get("id") if isinstance(use, dict) else None
    return (name,) if isinstance(name, str) else ()


def _published(
    connection: Connection, tenant_id: int, names: Iterable[str]
) -> dict[str, Source | None]:
    found: dict[str, Source | None] = {}
    for name in names:
        template = templates.get(connection, tenant_id, name)
        if template is None:
            continue
        number = template.published
        version = None if number is None else templates.version(connection, template.row, number)
        found[name] = None if version is None else version.source
    return found


def read_block(fields: Fields, name: str) -> str | None:
    """Read a part of a template; None when it is not there, empty or wrong."""
    text = fields.block(name) or None
    if text is not None and len(text) > MAX_SOURCE:
        fields.fail(name, "too_long", f"At most {MAX_SOURCE} characters are allowed.")
    return text


def read_template(fields: Fields) -> TemplateUse | None:
    """Read `template`; None when it is not there, or wrong."""
    value = fields.take("template")
    if value is None:
        return None
    inner = Fields(value, fields.errors, "template")
    use = TemplateUse(inner.required_text("id", _MAX_ID), read_variables(inner))
    inner.finish()
    return use


def read_variables(fields: Fields) -> Mapping[str, JsonValue]:
    """Read `variables`, a free-form object, an empty one when it is not there."""
    variables = fields.object("variables")
    problem = json_error(variables)
    if problem:
        fields.fail("variables", "invalid_value", problem)
        return {}
    return variables


def filled(use: TemplateUse, subject: str, loaded: Loaded) -> Rendered | tuple[FieldError, ...]:
    """Return what an email says, or what keeps it from being said.

    Args:
        use: the email's.
        subject: in the template's place, as it is; "" leaves it to the template.
        loaded: has the template, if there is one.
    """
    source = loaded.sources.get(use.id)
    if source is None:
        if use.id in loaded.sources:
            message = "No version of this template is published."
            return (FieldError("template.id", "not_published", message),)
        return (FieldError("template.id", "not_found", "There is no such template."),)
    if not subject:
        return fill(loaded.kept, source, use.variables, "template.variables")
    made = fill(loaded.kept, replace(source, subject=""), use.variables, "template.variables")
    return replace(made, subject=subject) if isinstance(made, Rendered) else made


def fill(
    kept: Templates, source: Source, variables: Mapping[str, JsonValue], path: str
) -> Rendered | tuple[FieldError, ...]:
    """Fill a template; `path` is where the variables are in the request."""
    try:
        made = kept.compiled(source).render(variables)
    except MissingVariablesError as error:
        return tuple(
            FieldError(
                f"{path}.{name}", "missing_variable", f"The template needs a value for {name}."
            )
            for name in error.names
        )
    except TemplateError as error:
        found = template_error(error)
        return (FieldError(path, found.code, f"{found.field}: {found.message}"),)
    problem = line_error(made.subject, MAX_SUBJECT)
    if problem is not None:
        return (FieldError(path, problem[0], f"subject: {problem[1]}"),)
    return made


def unreadable(kept: Templates, source: Source) -> list[FieldError]:
    """Return what keeps each part of a template from being read; [] when it can be."""
    try:
        kept.compiled(source)
    except TemplateError as error:
        found = template_error(error)
    else:
        return []
    parts = (
        Source(source.subject, None, ""),
        Source("", source.html or "", None),
        Source("", None, source.text or ""),
    )
    return [one for part in parts if (one := _first_error(kept, part)) is not None] or [found]


def _first_error(kept: Templates, source: Source) -> FieldError | None:
    try:
        kept.compiled(source)
    except TemplateError as error:
        return template_error(error)
    return None


def template_error(error: TemplateError) -> FieldError:
    """Return what is wrong with a template, at the part of it where it is."""
    part, _, message = str(error).partition(": ")
    return FieldError(part, "invalid_template", f"{message[:1].upper()}{message[1:]}.")
