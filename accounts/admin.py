"""Users and tokens in /admin/."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from accounts import hooks
from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import ApiToken, Invitation, SecurityEvent, User
from accounts.selectors import user_by_email
from accounts.services import token_revoke
from accounts.suspension import has_belongings, user_allow


class AdminSignInForm(AdminAuthenticationForm):
    """Administrators may sign in here too, and that is noted as everywhere."""

    def clean(self) -> dict[str, Any]:
        try:
            cleaned = super().clean()
        except ValidationError:
            meant = user_by_email(self.cleaned_data.get("username", ""))
            note(meant, EventKind.SIGN_IN_FAILED, self.request, method="a password")
            raise
        user = self.get_user()
        if isinstance(user, User):
            note(user, EventKind.SIGNED_IN, self.request, method="a password")
        return cleaned


admin.site.login_form = AdminSignInForm


class UserCreationForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    add_form = UserCreationForm
    ordering = ("email",)
    list_display = ("email", "name", "is_active", "is_staff", "tokens", "last_login", "created_at")
    list_filter = ("is_active", "is_staff", "last_login")
    search_fields = ("email", "name")
    readonly_fields = ("last_login", "created_at", "tokens")
    actions = ("suspend", "restore")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "created_at", "tokens")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        is_switched = change and "is_active" in form.changed_data
        if is_switched and not obj.is_active:
            obj.session_generation += 1  # as `user_allow`: they do not come back
        super().save_model(request, obj, form, change)
        if is_switched:
            kind = EventKind.USER_RESTORED if obj.is_active else EventKind.USER_SUSPENDED
            note(obj, kind, by=request.user)
        transaction.on_commit(partial(hooks.changed, obj))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(partial(hooks.changed, obj))

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        live = Count("api_tokens", filter=Q(api_tokens__revoked_at__isnull=True))
        people: QuerySet[User] = super().get_queryset(request).annotate(live_tokens=live)
        return people

    @admin.display(description="Tokens")
    def tokens(self, user: User) -> int:
        """Those that are not revoked."""
        count: int = vars(user).get("live_tokens", 0)  # the page to add somebody counts nothing
        return count

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Not the deletion of many: it asks nobody what would go with them."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """What somebody owns would go without a trace, and sandboxes be nobody's: suspend instead."""
        is_free = obj is None or not has_belongings(obj)
        return is_free and super().has_delete_permission(request, obj)

    @admin.action(
        description="Suspend: sessions, tokens, keys and URLs end; what runs goes on", permissions=["change"]
    )
    def suspend(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        others = [user for user in chosen if user.pk != request.user.pk]
        if len(others) < len(chosen):
            self.message_user(request, "You cannot suspend yourself.", messages.WARNING)
        self._allow(request, others, is_active=False)

    @admin.action(description="Restore: they may sign in again", permissions=["change"])
    def restore(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._allow(request, list(chosen), is_active=True)

    def _allow(self, request: HttpRequest, people: list[User], *, is_active: bool) -> None:
        by = request.user.get_username()
        count = sum(user_allow(user, is_active=is_active, by=by) for user in people)
        self.message_user(request, f"{count} {'restored' if is_active else 'suspended'}.")


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To look at and to revoke: a token is made where its text can be shown."""

    actions = ("revoke",)

    list_display = ("prefix", "name", "owner", "created_at", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("prefix", "name", "owner__email")
    list_select_related: ClassVar[list[str]] = ["owner"]
    fields = list_display
    readonly_fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:  # noqa: ARG002
        """What was done with it names it."""
        return False

    @admin.action(
        description="Revoke: it is refused from now on, open connections end", permissions=["change"]
    )
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen.select_related("owner"):
            token_revoke(token.owner, token.pk)
        self.message_user(request, f"{len(chosen)} revoked.")


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
            obj.invited_by = request.user if isinstance(request.user, User) else None
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
