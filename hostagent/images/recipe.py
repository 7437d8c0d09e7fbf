"""What each platform image is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hostagent.drivers.builds import BUILD_FILE
from hostagent.errors import AgentError

SUITE = "bookworm"  # Debian 12

# As Docker images have them: packages that are installed later find no init to start their services with.
POLICY_RC_D = "#!/bin/sh\nexit 101\n"

# Installing into the system is what a throw-away machine is for.
PIP_CONF = (
    "[global]\nbreak-system-packages = true\nroot-user-action = ignore\ndisable-pip-version-check = true\n"
)

# Debian's own asks `id` who it is for, a process that takes longer (4 ms) than starting the shell. Every
# script, command and login reads this. Who owns / is root.
PROFILE = """\
# For login shells: sh(1), bash(1).
if [ -O / ]; then
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PS1_HERE='# '
else
  PATH=/usr/local/bin:/usr/bin:/bin PS1_HERE='$ '
fi
export PATH
if [ -n "${PS1-}" ]; then
  if [ -n "${BASH-}" ] && [ "$BASH" != /bin/sh ] && [ -f /etc/bash.bashrc ]; then
    . /etc/bash.bashrc
  else
    PS1=$PS1_HERE
  fi
fi
unset PS1_HERE
for part in /etc/profile.d/*.sh; do
  if [ -r "$part" ]; then
    . "$part"
  fi
done
unset part
"""

HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    packages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes with whatever makes the image another one. Mirrors and the day of building do not count."""
        text = "\n".join((self.name, SUITE, *self.packages, customize_script("", "")))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "standard",
            (
                *("python3", "python3-pip", "python3-venv", "python-is-python3", "nodejs", "npm"),
                *("git", "curl", "wget", "openssh-server", "openssh-client", "ca-certificates"),
                *("procps", "psmisc", "iproute2", "iputils-ping", "netcat-openbsd"),
                *("less", "nano", "file", "jq", "xz-utils", "zip", "unzip", "rsync"),
            ),
        ),
    )
}


def recipe(name: str) -> Recipe:
    try:
        return RECIPES[name]
    except KeyError as error:
        raise AgentError(f"no image is called {name}", f"there are: {', '.join(sorted(RECIPES))}") from error


def customize_script(build: str, sources: str) -> str:
    """What is done to the installed system, as a shell script with the new root as $1.

    Nothing that identifies one machine stays, and nothing of the machine that built it."""
    files = {
        "etc/hostname": "sandbox\n",
        "etc/hosts": HOSTS,
        "etc/resolv.conf": "",
        "etc/machine-id": "",
        "etc/default/locale": "LANG=C.UTF-8\n",
        "etc/profile": PROFILE,
        "etc/pip.conf": PIP_CONF,
        "etc/dpkg/dpkg.cfg.d/unsafe-io": "force-unsafe-io\n",  # a crash loses the sandbox anyway
        "etc/apt/sources.list": sources,
        BUILD_FILE: f"{build}\n",
    }
    writes = [_write(path, text) for path, text in files.items()]
    return "\n".join(
        (
            "set -eu",
            'cd "$1"',
            "rm -f etc/ssh/ssh_host_* var/lib/dbus/machine-id usr/lib/python3*/EXTERNALLY-MANAGED",
            "rm -f var/cache/debconf/*-old var/lib/dpkg/*-old var/log/apt/* var/log/*.log",
            # A sandbox may not have ping's file capability, and could not start it. Ping sockets need none.
            "cp usr/bin/ping ping.new",
            "mv ping.new usr/bin/ping",
            *writes,
            _write("usr/sbin/policy-rc.d", POLICY_RC_D),
            "chmod 755 usr/sbin/policy-rc.d",
            "mkdir -p uploads",
        )
    )


def _write(path: str, text: str) -> str:
    return f"rm -f {path}\ncat > {path} <<'END_OF_FILE'\n{text}END_OF_FILE\nchmod 644 {path}"
