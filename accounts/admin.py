"""Users and tokens in /admin/."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db import transaction
from django.http import HttpRequest

from accounts import hooks
from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import ApiToken, Invitation, SecurityEvent, User


class UserCreationForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    add_form = UserCreationForm
    ordering = ("email",)
    list_display = ("email", "name", "is_staff", "is_active", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    readonly_fields = ("last_login", "created_at")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            kind = EventKind.USER_RESTORED if obj.is_active else EventKind.USER_SUSPENDED
            note(obj, kind, by=request.user)
        transaction.on_commit(partial(hooks.changed, obj))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(partial(hooks.changed, obj))


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To look at and to delete: a token is made where its text can be shown."""

    list_display = ("prefix", "name", "owner", "created_at", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("prefix", "name", "owner__email")
    list_select_related: ClassVar[list[str]] = ["owner"]
    fields = list_display
    readonly_fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may sign in through a provider; deleting one keeps out who has not come yet."""

    list_display = ("email", "created_at", "invited_by", "accepted_at", "accepted_by")
    search_fields = ("email",)
    list_select_related: ClassVar[list[str]] = ["invited_by", "accepted_by"]
    fields = ("email",)

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        if not change:
            obj.email = obj.email.lower()
            obj.invited_by = User.objects.get(pk=request.user.pk)
            note(obj.invited_by, EventKind.INVITATION_CREATED, request, email=obj.email)
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:  # noqa: ARG002
        return False


@admin.register(SecurityEvent)
class SecurityEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To read: what is written here happened."""

    list_display = ("at", "kind", "user", "address", "detail")
    list_filter = ("kind",)
    search_fields = ("user__email", "address")
    list_select_related: ClassVar[list[str]] = ["user"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: SecurityEvent | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SecurityEvent | None = None) -> bool:  # noqa: ARG002
        return False
