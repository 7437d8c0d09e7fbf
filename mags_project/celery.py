"""The Celery application: short, idempotent background tasks."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mags_project.settings")
app = Celery("mags")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
