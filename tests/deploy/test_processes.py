"""What supervisord is told: rights, environment, one program a process."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from deploy import credentials
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.processes import all_processes, supervisor_config


def layout(tmp_path: Path, **settings: str) -> Layout:
    for name in ("run", "log"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Layout(var=tmp_path, settings=tuple(settings.items()))


def programs(tmp_path: Path, **settings: str) -> dict[str, Any]:
    """The configuration as supervisor itself reads it."""
    chosen = layout(tmp_path, **settings)
    processes = all_processes(chosen, credentials.load(chosen.secrets))
    file = chosen.run / "supervisord.conf"
    file.write_text(supervisor_config(chosen, processes, pwd.getpwnam("nobody")))
    options = ServerOptions()
    options.realize(["--configuration", str(file), "--nodaemon"])
    return {group.name: group.process_configs[0] for group in options.process_group_configs}


def test_every_process_but_the_agent_gives_up_its_rights(tmp_path: Path) -> None:
    found = programs(tmp_path)
    assert set(found) == {"redis", "s3", "web", "worker", "beat", "gateway", "agent", "data"}
    for name, program in found.items():
        drops = program.command.startswith("setpriv --reuid=") and "--bounding-set=-all" in program.command
        assert drops == (name not in {"agent", "data"}), name


@pytest.mark.parametrize("value", ["100%", "a,b=c", "it's", "%(here)s", "", "#x;y"])
def test_odd_values_reach_the_process_as_they_are(tmp_path: Path, value: str) -> None:
    assert programs(tmp_path, MAGS_ODD=value)["web"].environment["MAGS_ODD"] == value


@pytest.mark.parametrize("value", ['say "hi"', "two\nlines", "a ; b", "'quoted'"])
def test_a_value_that_cannot_be_passed_on_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SetupError, match="MAGS_ODD"):
        programs(tmp_path, MAGS_ODD=value)


def test_the_agent_gets_its_own_settings_and_no_others(tmp_path: Path) -> None:
    found = programs(tmp_path, MAGS_AGENT_SANDBOXES="3", MAGS_LOG_LEVEL="DEBUG")
    assert found["agent"].environment["MAGS_AGENT_SANDBOXES"] == "3"
    assert {name for name in found["agent"].environment if not name.startswith("MAGS_AGENT_")} == {
        "MAGS_PROCESS"
    }
    assert found["web"].environment["MAGS_LOG_LEVEL"] == "DEBUG"
    assert not [name for name in found["web"].environment if name.startswith("MAGS_AGENT_")]


def test_the_gateway_and_the_server_have_the_same_key_and_port(tmp_path: Path) -> None:
    found = programs(tmp_path, MAGS_GATEWAY_APPS_DOMAIN="apps.example", MAGS_GATEWAY_GRACE_S="5")
    web, gateway = found["web"].environment, found["gateway"].environment
    assert web["MAGS_GATEWAY_KEY"] == gateway["MAGS_GATEWAY_KEY"] != ""
    assert web["MAGS_URL_FORM"] == f"http://{{label}}.apps.example:{gateway['MAGS_GATEWAY_PORT']}"
    assert (gateway["MAGS_GATEWAY_GRACE_S"], "MAGS_GATEWAY_GRACE_S" in web) == ("5", False)
    assert "MAGS_TICKET_KEY" in web
    assert "MAGS_TICKET_KEY" not in gateway
    assert len(web["MAGS_SSH_SECRET"]) > 32
    assert "MAGS_SSH_SECRET" not in gateway


def test_a_key_of_the_operators_is_the_servers_too(tmp_path: Path) -> None:
    found = programs(tmp_path, MAGS_GATEWAY_KEY="chosen")
    assert [found[name].environment["MAGS_GATEWAY_KEY"] for name in ("web", "gateway")] == ["chosen"] * 2


def test_an_operators_setting_wins(tmp_path: Path) -> None:
    web = programs(tmp_path, MAGS_DATABASE_URL="postgres://db/mags", MAGS_PUBLIC_URL="https://mags.example")[
        "web"
    ]
    assert web.environment["MAGS_DATABASE_URL"] == "postgres://db/mags"
    assert web.environment["MAGS_PUBLIC_URL"] == "https://mags.example"
