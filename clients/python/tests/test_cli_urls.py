"""`mags url`, and jobs that ask for a URL."""

from __future__ import annotations

import json

import pytest
from conftest import Command
from fake_server import FakeServer

from mags import Mags, MagsError


@pytest.fixture
def job(mags: Command, server: FakeServer) -> str:
    assert mags("run", "-d", "-w", "web", "-p", "true").returncode == 0
    return server.next_job().id


def url(label: str) -> str:
    return f"http://{label}.apps.localhost:8081"


def test_run_asks_for_a_url(mags: Command, server: FakeServer) -> None:
    assert mags("run", "-d", "-w", "web", "-p", "--url", "--port", "8000", "true").returncode == 0
    sent = server.next_job().sent
    assert (sent["url"], sent["port"]) == (True, 8000)


def test_run_that_does_not_ask_says_nothing_of_it(mags: Command, server: FakeServer, job: str) -> None:
    assert not {"url", "port"} & server.next_job().sent.keys()


@pytest.mark.parametrize(("words", "port"), [(["web"], 8080), (["web", "8000"], 8000)])
def test_a_jobs_url_is_printed(mags: Command, job: str, words: list[str], port: int) -> None:
    assert mags("url", *words).stdout.decode() == url(job) + "\n"
    assert json.loads(mags("url", *words, "--json").stdout) == {
        "success": True,
        "url": url(job),
        "port": port,
    }


def test_a_job_that_is_called_like_a_command_goes_by_its_id(mags: Command, job: str) -> None:
    assert mags("url", "open", job).stdout.decode() == mags("url", job).stdout.decode() == url(job) + "\n"


def test_a_name_is_made_listed_and_given_back(mags: Command, job: str) -> None:
    assert mags("url", "alias", "shop", "web", "--port", "8000").stdout.decode() == url("shop") + "\n"
    assert mags("url", "alias", "shop", "web").returncode == 125
    listed = mags("url", "list").stdout.decode().splitlines()
    assert listed[0] == "SUBDOMAIN\tWORKSPACE_ID\tPORT\tURL\tCREATED_AT"
    assert listed[1].startswith(f"shop\tweb\t8000\t{url('shop')}\t")
    assert json.loads(mags("url", "list", "--json").stdout)["total"] == 1
    assert mags("url", "remove", "shop").stdout == b"shop is given back.\n"
    assert mags("url", "remove", "shop").returncode == 125


@pytest.mark.parametrize("words", [[], ["web", "0"], ["web", "x"], ["alias", "shop"], ["--nonsense"]])
def test_wrong_words_are_2(mags: Command, words: list[str]) -> None:
    assert mags("url", *words).returncode == 2


def test_the_sdk_has_them_all(client: Mags, job: str) -> None:
    assert client.url("web", port=80) == client.enable_access(job, port=80)
    made = client.url_alias_create("shop", "web")
    assert client.url_alias_list()["aliases"] == [made]
    client.url_alias_delete("shop")
    assert client.url_alias_list()["total"] == 0


@pytest.mark.parametrize("options", [{"url": True}, {"port": 80, "persistent": True}])
def test_what_makes_no_sense_is_refused_before_it_is_sent(client: Mags, options: dict[str, bool]) -> None:
    with pytest.raises(MagsError) as caught:
        client.run("true", **options)  # type: ignore[arg-type]
    assert caught.value.code == "bad_argument"
