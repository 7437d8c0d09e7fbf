"""What can go wrong with images."""

from __future__ import annotations

from core.errors import Forbidden, NotFound


class MayNotPublish(Forbidden):
    code = "may_not_publish"
    default_message = "This host may not publish images."
    default_remediation = (
        "`manage.py host_publish_images NAME` lets it. A new host joins with the right where its token was"
        " made with `host_enrolment_token --publishes-images`."
    )


class BuildNotFound(NotFound):
    code = "build_not_found"
    default_message = "No such build of this image is published."
    default_remediation = "Publish it from a host that has it: `hostagent image push NAME`."
