"""The ASGI entry: HTTP goes to Django, WebSockets to the consumers."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mags_project.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()  # before any import that touches models

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

from core.bodylimit import BodyLimit
from jobs.routing import websocket_urlpatterns

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(django_app),
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)
