"""Background work of this app."""

from __future__ import annotations

import time
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from social_django.models import Association, Nonce

from accounts import cli_logins
from accounts.models import SecurityEvent

ATTEMPT_S = 3600  # longer than social-auth lets anybody stay at a provider


@shared_task(name="accounts.forget_old")
def forget_old() -> None:
    """Sessions and logins that are over, attempts to sign in that were not finished, old events."""
    cli_logins.forget_old()
    SessionStore.clear_expired()
    Association.cleanup_expired()
    Nonce.objects.filter(timestamp__lt=int(time.time()) - ATTEMPT_S).delete()
    limit = timezone.now() - timedelta(days=settings.SECURITY_EVENT_DAYS)
    SecurityEvent.objects.filter(at__lt=limit).delete()
