"""What the reference needs besides the docstrings: an extension of griffe, which reads the sources.

* `Pauses:`, `Threads:`, `See:`, `Differs:` and sections of one line become paragraphs of their own.
* A comment `#: ...` above an attribute is its docstring.
* `ASYNC_start_job = _jobs.ASYNC_start_job` in `pausable.openssl` is documented as the function.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import griffe

LABELS = "Pauses|Threads|Args|Returns|Raises|See|Differs"
#: A label with its text, which goes on until a blank line or the next label.
LABEL = re.compile(rf"^({LABELS}): (\S.*(?:\n(?!(?:{LABELS}):) *\S.*)*)\n?", re.MULTILINE)
ASYNC_PAGE = "https://docs.openssl.org/3.0/man3/ASYNC_start_job/"
WAIT_CTX_PAGE = "https://docs.openssl.org/3.0/man3/ASYNC_WAIT_CTX_new/"


def _paragraph(match: re.Match[str]) -> str:
    label, text = match[1], re.sub(r"\n *", " ", match[2])
    if label == "See":
        text = re.sub(r"\bASYNC_WAIT_CTX_\w+\(3\)", rf"[\g<0>]({WAIT_CTX_PAGE})", text)
        text = re.sub(r"(?<!\[)\bASYNC_(?!WAIT_CTX)\w+\(3\)", rf"[\g<0>]({ASYNC_PAGE})", text)
    return f"\n**{label}:** {text}\n\n"


def _comment_above(attribute: griffe.Attribute) -> str:
    if attribute.filepath not in attribute.lines_collection:  # of a compiled module
        return ""
    lines = attribute.lines_collection[attribute.filepath]  # type: ignore[index]
    found: list[str] = []
    at = (attribute.lineno or 1) - 2
    while at >= 0 and lines[at].strip().startswith("#:"):
        found.insert(0, lines[at].strip()[2:].strip())
        at -= 1
    return " ".join(found)


class Reference(griffe.Extension):
    """The extension; griffe finds it in this module."""

    def on_object(self, *, obj: griffe.Object, **_kwargs: Any) -> None:
        """Mend an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = LABEL.sub(_paragraph, obj.docstring.value)
        elif isinstance(obj, griffe.Attribute) and (text := _comment_above(obj)):
            obj.docstring = griffe.Docstring(text, parent=obj)

    def on_package(self, *, pkg: griffe.Module, **_kwargs: Any) -> None:
        """Put the C-named functions where users find them."""
        if "openssl" not in pkg.members:
            return
        for path in ("openssl", "openssl.v1_1", "openssl.pre1_1"):
            module = pkg[path]
            for name, member in list(module.members.items()):
                if member.is_alias or not member.is_attribute or "." not in str(member.value):
                    continue
                holder, _, attribute = str(member.value).rpartition(".")
                method = self._method(module, holder, attribute)
                if method is not None:
                    function = copy.copy(method)
                    function.parameters = griffe.Parameters(*list(method.parameters)[1:])
                    function.name = name
                    function.lineno = member.lineno  # pages go by the order of the lines
                    module.set_member(name, function)

    def _method(self, module: Any, holder: str, name: str) -> griffe.Function | None:
        """Find what `holder.name` is, where `holder = Class(...)` in the module."""
        made = module.members.get(holder)
        if isinstance(made, griffe.Module):  # `_jobs`, made of a class of the module `_jobs`
            owners = [cls for cls in made.classes.values() if name in cls.members]
            return owners[0].members[name] if owners else None
        if not isinstance(made, griffe.Attribute) or not isinstance(made.value, griffe.ExprCall):
            return None
        found = module[str(made.value.function)]
        cls = found.final_target if found.is_alias else found
        method = cls.all_members.get(name)
        return method if isinstance(method, griffe.Function) else None
