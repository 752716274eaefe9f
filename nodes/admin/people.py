"""Users and their roles.  An admin gives roles; only a superuser makes or edits a superuser.

The last active superuser stays one, and nobody disables or deletes themselves: else nobody could undo it but on the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Field, ManyToManyField
from django.http import HttpRequest, HttpResponse

from nodes.access_changes import account_changed, address_of
from nodes.admin.edits import RecordsAccess
from nodes.admin.read_only import ReadOnly
from nodes.models.names import seen

admin.site.unregister(User)
admin.site.unregister(Group)

_WAYS = "Whether they log in with a password. Without one they come by single sign-on alone."


def _lasting(chosen: Iterable[int]) -> bool:
    """Whether an active superuser is left when the chosen users are none.  Locks them all: two may take each other away."""
    active = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    with transaction.atomic():
        known = set(active.select_for_update().values_list("pk", flat=True))
    return not known or bool(known - set(chosen))


class PersonForm(UserChangeForm):  # type: ignore[type-arg]  # Django's class takes no parameter at run time
    """Refuses what would lock out: the reader themselves, or everybody."""

    reader: int | None = None  # who asks

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        person = self.instance  # as stored: what is posted is not written to it yet
        active = cleaned.get("is_active", person.is_active)
        stays = active and cleaned.get("is_superuser", person.is_superuser)
        if person.pk == self.reader and not active:
            self.add_error("is_active", "You cannot disable yourself; another admin can.")
        elif person.is_active and person.is_superuser and not stays and not _lasting([person.pk]):
            field = "is_superuser" if active else "is_active"
            self.add_error(field, f"{person} is the last active superuser: make another one first.")
        return cleaned


class NewPersonForm(AdminUserCreationForm):  # type: ignore[type-arg]  # as above
    usable_password = AdminUserCreationForm.create_usable_password_field(_WAYS)


@admin.register(User)
class PersonAdmin(RecordsAccess, UserAdmin):  # type: ignore[type-arg]  # as above
    form = PersonForm
    add_form = NewPersonForm
    secret_fields = {"password1": "Password", "password2": "Password"}
    told_fields = ("Groups", "Active", "Superuser status")
    list_display = ("username", "email", "roles", "is_active", "is_superuser", "last_login")
    list_filter = ("groups", "is_active", "is_superuser")
    filter_horizontal = ()
    formfield_overrides = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Role",
            {
                "fields": ("is_active", "groups", "is_superuser"),
                "description": "A viewer sees (so does a user without a role), an operator also acts, an admin also edits.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Django's own model knows nothing of what cannot be seen."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.CharField):
            field.validators.append(seen)
        return field

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.reader = request.user.pk
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look is offered no new password: the page of it would refuse them."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "password"]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if request.user.is_superuser else (*self.readonly_fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The users by name, without the rows that go with them; and in the place of what protects them, why they stay."""
        _, _, lacking, protected = super().get_deleted_objects(objs, request)
        chosen = {person.pk: person.get_username() for person in objs}
        if request.user.pk in chosen:
            protected.append("You cannot delete yourself; another admin can.")
        elif not _lasting(chosen):
            protected.append("No active superuser would be left: make another one first.")
        return list(chosen.values()), {}, lacking, protected

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What is deleted from the list is deleted while the superusers are locked."""
        with transaction.atomic():
            return super().changelist_view(request, extra_context)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's
        """Seen by the hash, so that a password that is taken away is told as well."""
        if request.method != "POST":
            return super().user_change_password(request, id, form_url)
        with transaction.atomic():
            before = self.get_object(request, unquote(id))
            answer = super().user_change_password(request, id, form_url)
            after = self.get_object(request, unquote(id))
            if before is not None and after is not None and before.password != after.password:
                did = "changed" if after.has_usable_password() else "removed"
                actor = request.user.get_username()
                said = f"{actor} {did} the password of {after.get_username()}"
                account_changed(said, actor=actor, address=address_of(request))
        return answer

    @staticmethod
    def _may_touch(request: HttpRequest, person: Any) -> bool:
        return request.user.is_superuser or not (person and person.is_superuser)

    @admin.display
    def roles(self, person: User) -> str:
        superuser = ["superuser"] if person.is_superuser else []
        return ", ".join([*superuser, *(group.name for group in person.groups.all())])


@admin.register(Group)
class RoleAdmin(ReadOnly, GroupAdmin):
    """The three roles are made by a migration; here one sees what they may do."""
