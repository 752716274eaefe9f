"""The three roles as groups, and how a migration gives them permissions.

A viewer is any user who is logged in; an operator also acts (`nodes.operate`); an admin also edits.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions

VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"
Right = tuple[str, str]  # model and verb, both lower case: ("node", "change")


def create_groups(apps: Apps, *, alias: str) -> None:
    """Make the groups of the roles that do not exist yet; `apps` is what a migration is given."""
    group = apps.get_model("auth", "Group")
    for name in (VIEWER, OPERATOR, ADMIN):
        group.objects.using(alias).get_or_create(name=name)


def grant(
    apps: Apps,
    label: str,
    *,
    alias: str,
    viewer: Iterable[Right] = (),
    operator: Iterable[Right] = (),
    admin: Iterable[Right] = (),
) -> None:
    """Give the roles rights on the models of the app `label`; what they have already stays, so a second run is harmless.

    Django writes permissions only after the last migration, so they are made here first.  Raises `LookupError` for a
    right that the app does not have.
    """
    config = apps.get_app_config(label)
    config.models_module = True  # type: ignore[assignment]  # a migration's stand-in has none and would be skipped
    create_permissions(config, apps=apps, using=alias, verbosity=0)
    permission, group = apps.get_model("auth", "Permission"), apps.get_model("auth", "Group")
    known = {
        (found.content_type.model, found.codename): found
        for found in permission.objects.using(alias).select_related("content_type").filter(content_type__app_label=label)
    }
    for name, rights in ((VIEWER, viewer), (OPERATOR, operator), (ADMIN, admin)):
        missing = [right for right in rights if _key(right) not in known]
        if missing:
            raise LookupError(f"{label} has no such permission: {missing}")
        group.objects.using(alias).get(name=name).permissions.add(*(known[_key(right)] for right in rights))


def _key(right: Right) -> Right:
    """Django names its own permissions verb_model, ours are the plain verb."""
    model, verb = right
    return model, f"{verb}_{model}" if verb in ("view", "add", "change", "delete") else verb
