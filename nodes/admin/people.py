"""Users and their roles.  An admin gives roles; only a superuser makes or edits a superuser."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
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


@admin.register(User)
class PersonAdmin(RecordsAccess, UserAdmin):  # type: ignore[type-arg]  # Django's class takes no parameter at run time
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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if request.user.is_superuser else (*self.readonly_fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

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
        return ", ".join(group.name for group in person.groups.all())


@admin.register(Group)
class RoleAdmin(ReadOnly, GroupAdmin):
    """The three roles are made by a migration; here one sees what they may do."""
