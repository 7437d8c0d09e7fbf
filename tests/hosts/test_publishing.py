"""Who may publish images."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from hosts.models import Host
from hosts.services import enrolment_token_create, host_enrol

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("may_publish", [False, True])
def test_right_comes_with_the_enrolment_token(may_publish: bool) -> None:
    token = enrolment_token_create(timedelta(hours=1), publishes_images=may_publish)
    host, _ = host_enrol(token, "h1", "1")
    assert Host.objects.get(pk=host.pk).publishes_images is may_publish


def test_command_makes_a_token_with_the_right() -> None:
    out = StringIO()
    call_command("host_enrolment_token", "--publishes-images", stdout=out)
    host, _ = host_enrol(out.getvalue().strip(), "h1", "1")
    assert host.publishes_images


def test_right_is_given_and_taken_later() -> None:
    host, _ = host_enrol(enrolment_token_create(timedelta(hours=1)), "h1", "1")
    call_command("host_publish_images", "h1", stdout=StringIO())
    assert Host.objects.get(pk=host.pk).publishes_images
    call_command("host_publish_images", "h1", "--off", stdout=StringIO())
    assert not Host.objects.get(pk=host.pk).publishes_images
    with pytest.raises(CommandError, match="no host of this name"):
        call_command("host_publish_images", "nobody")
