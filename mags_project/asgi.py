"""The ASGI entry: HTTP goes to Django, WebSockets to the consumers."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mags_project.settings")
django.setup()  # before any import that touches models

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

from core.asgi import Http, OnThreads
from core.bodylimit import BodyLimit
from core.counting import Counted
from core.daphne import bound
from dashboard.routing import websocket_urlpatterns as of_pages
from execs.routing import websocket_urlpatterns as of_execs
from files.asgi import Uploads, accept_uploads
from jobs.routing import websocket_urlpatterns as of_jobs

bound()
accept_uploads()
http = OnThreads(Http())
websockets = AuthMiddlewareStack(URLRouter([*of_jobs, *of_execs, *of_pages]))  # type: ignore[no-untyped-call]
router = ProtocolTypeRouter(  # type: ignore[no-untyped-call]
    {"http": Uploads(http, others=BodyLimit(http)), "websocket": OnThreads(websockets)}
)
application = Counted(router)
