"""/admin/ opens for administrators and never shows a digest."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import ApiToken, User
from hosts.models import Host
from tests.accounts import factories


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(factories.user(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("model", ["accounts/user", "accounts/apitoken", "hosts/host"])
def test_lists_open(admin: Client, model: str) -> None:
    token, _ = factories.token_of(factories.user())
    Host.objects.create(name="h", key_digest="d" * 64)
    page = admin.get(f"/admin/{model}/")
    assert page.status_code == 200
    assert token.digest not in page.text
    assert "d" * 64 not in page.text


def test_token_page_is_read_only_and_hides_the_digest(admin: Client) -> None:
    token, _ = factories.token_of(factories.user())
    address = f"/admin/accounts/apitoken/{token.pk}/change/"
    page = admin.get(address)
    assert page.status_code == 200
    assert token.digest not in page.text
    assert 'name="digest"' not in page.text
    admin.post(address, {"digest": "0" * 64, "prefix": "x", "name": "y"})
    assert ApiToken.objects.values().get(pk=token.pk) == {
        field.attname: getattr(token, field.attname) for field in ApiToken._meta.fields
    }
    assert admin.get("/admin/accounts/apitoken/add/").status_code == 403


def test_host_page_hides_the_key_and_drains(admin: Client) -> None:
    host = Host.objects.create(name="h", key_digest="d" * 64)
    address = f"/admin/hosts/host/{host.pk}/change/"
    assert "d" * 64 not in admin.get(address).text
    form = {"events-TOTAL_FORMS": "0", "events-INITIAL_FORMS": "0"}
    admin.post(address, form | {"is_draining": "on", "used_sandboxes": "7", "publishes_images": "on"})
    host.refresh_from_db()
    assert host.publishes_images
    assert not host.is_draining  # there is an action for that, which writes down who did it
    assert host.used_sandboxes == 0


def test_admin_makes_a_user(admin: Client) -> None:
    form = {"email": "new@example.org", "usable_password": "true"}
    form |= {"password1": factories.PASSWORD, "password2": factories.PASSWORD}
    assert admin.post("/admin/accounts/user/add/", form).status_code == 302
    user = User.objects.get(email="new@example.org")
    assert user.check_password(factories.PASSWORD)
    assert admin.get(f"/admin/accounts/user/{user.pk}/change/").status_code == 200


@pytest.mark.django_db
def test_others_do_not_get_in() -> None:
    client = Client()
    assert client.get("/admin/").status_code == 302
    client.force_login(factories.user())
    assert client.get("/admin/").status_code == 302
