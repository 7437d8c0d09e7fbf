"""People and the tokens they act with."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.scopes import all_scopes
from accounts.states import CliLoginState


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail; Django's own `createsuperuser` needs these two names."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address. The owner of jobs, workspaces and tokens."""

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    session_generation = models.PositiveIntegerField(default=0)  # counted up, all sessions so far are over

    # Not stored: the one workspace that the token they act with is for; empty: all. Selectors go by it.
    only_workspace = ""

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
        ]

    def __str__(self) -> str:
        return self.email

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Django ends sessions that carry another one: the password has changed, or the generation."""
        seen = f"{self.password}:{self.session_generation}"
        return salted_hmac("accounts.User.session", seen, secret=secret, algorithm="sha256").hexdigest()


class ApiToken(models.Model):
    """A bearer token. Only its SHA-256 is stored; the text is shown once, at creation."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16)  # "mags_" + the first characters, to recognise it by
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the whole text, hex
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)  # to the minute, and ...
    last_used_address = models.CharField(max_length=45, blank=True)  # ... from where
    revoked_at = models.DateTimeField(null=True, blank=True)
    scopes = models.JSONField(default=all_scopes)  # what it may be used for, with all that these hold
    workspace_name = models.CharField(max_length=63, blank=True)  # the one that it is for; empty: all

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["owner", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class CliLogin(models.Model):
    """A command line that asks for a token, and what a person said to that (accounts/cli_logins.py)."""

    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of what the command shows for its token
    # Of what the person types. None where the page sends the code to the command's own machine.
    user_code_digest = models.CharField(max_length=64, unique=True, null=True, blank=True)
    challenge = models.CharField(max_length=43, blank=True)  # of PKCE, and ...
    redirect_uri = models.CharField(max_length=200, blank=True)  # ... where the code was sent
    host_name = models.CharField(max_length=100)  # as the command says, and ...
    system = models.CharField(max_length=60)
    address = models.CharField(max_length=45, blank=True)  # ... where it asked from
    state = models.CharField(
        max_length=10, choices=[(s, s) for s in CliLoginState], default=CliLoginState.PENDING
    )
    owner = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    token_name = models.CharField(max_length=100, blank=True)
    token_scopes = models.JSONField(default=list)
    token_workspace = models.CharField(max_length=63, blank=True)
    token_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    interval_s = models.PositiveIntegerField(default=0)  # between two questions of the command
    asked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(state__in=[CliLoginState.PENDING, CliLoginState.DENIED])
                | models.Q(owner__isnull=False),
                name="cli_login_approved_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host_name} {self.state}"


class SecurityEvent(models.Model):
    """Something that happened to an account, as accounts/audit.py writes it. It is never changed."""

    # None: somebody tried to sign in, and it is not known as whom.
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="security_events"
    )
    at = models.DateTimeField(default=timezone.now, db_index=True)  # old ones are removed by it
    kind = models.CharField(max_length=40)  # an EventKind
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=200, blank=True)  # User-Agent
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["user", "-id"], name="event_of_user")]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"


class Invitation(models.Model):
    """Somebody with this verified e-mail address may sign in through a provider."""

    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    invited_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(Lower("email"), name="invitation_email_unique"),
        ]

    def __str__(self) -> str:
        return self.email
