"""Run inside Django as the servers' user: bring the database up to date and hand out what `up` needs.

Reads one JSON object from standard input, writes one as the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    request = json.load(sys.stdin)
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    sys.stdout.write(json.dumps(hand_out(request)) + "\n")


def hand_out(request: dict[str, Any]) -> dict[str, str]:
    # Models can be imported only after django.setup().
    from accounts.selectors import user_by_email
    from accounts.services import token_authenticate, token_create, user_create
    from core.errors import MagsError
    from hosts.services import enrolment_token_create

    user = user_by_email(request["email"])
    if user is None:
        user = user_create(request["email"], request["password"], is_admin=True)
    token = request["token"]
    try:
        token_authenticate(token)
    except MagsError:  # none yet, revoked, or of a former database
        token = token_create(user, "make up")[1]
    result = {"token": token}
    if request["is_enrolment_wanted"]:
        # This machine's host: what it builds is what the others are to run.
        token = enrolment_token_create(timedelta(minutes=30), publishes_images=True)
        result["enrolment_token"] = token
    return result


if __name__ == "__main__":
    main()
