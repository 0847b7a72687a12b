"""Pages are Jinja templates: what a person writes, with numbers filled in by name.

A name that does not exist is an error, never an empty place.
"""

import jinja2

from repro.report.tables import digits, markdown


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else value


TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("repro.report"),
    undefined=jinja2.StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters |= {"markdown": markdown, "digits": digits}


def render(template: str, **values) -> str:
    """The text of a template of `repro/report/templates/`, with `values` filled in.

    Raises
    ------
    ValueError
        If the template is no template, or asks for what there is not.
    """
    try:
        return TEMPLATES.get_template(f"{template}.md.j2").render(values)
    except jinja2.TemplateError as error:
        name = getattr(error, "name", None) or f"{template}.md.j2"  # of one that is included
        raise ValueError(f"{name}: {error}") from None


def fill(text: str, **values) -> str:
    """A short text with `values` filled in, as in a cell of a table.

    Raises
    ------
    ValueError
        As `render`.
    """
    try:
        return TEMPLATES.from_string(text).render(values)
    except jinja2.TemplateError as error:
        raise ValueError(f"{text}: {error}") from None
