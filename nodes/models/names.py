"""Names are one line of what can be seen.

A line end splits a log line or a header in two, a bidirectional control writes a name backwards, and by an invisible letter two
names look the same.  One pattern says so, to forms and to the database.
"""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.deconstruct import deconstructible

# Read alike by Python and PostgreSQL: controls and line ends; the soft hyphen, joiners, fillers and other letters without a width;
# the controls of writing direction; marks of annotation; language tags.
UNSEEN = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_unseen = re.compile(UNSEEN)


@deconstructible
class Seen:
    """Refuses a text with a character that cannot be seen, and says which and where."""

    def __call__(self, text: str) -> None:
        found = _unseen.search(text)
        if found is None:
            return
        raise ValidationError(
            "A name is one line of visible characters: the %(place)s. one, %(character)s, is none. Type it anew, or leave it out.",
            code="unseen",
            params={"place": found.start() + 1, "character": f"U+{ord(found[0]):04X}"},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen)

    def __hash__(self) -> int:
        return hash(Seen)


seen = Seen()


def only_seen(table: str, *fields: str) -> tuple[models.CheckConstraint, ...]:
    """The constraints that keep such names out of the database, whoever writes there."""
    return tuple(
        models.CheckConstraint(condition=~models.Q(**{f"{field}__regex": UNSEEN}), name=f"{table}_{field}_seen") for field in fields
    )
