"""Where every address goes."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

admin.site.site_header = admin.site.site_title = "Mags administration"
admin.site.site_url = None  # the page's own links lead to the dashboard
admin.site.index_title = "What is stored"

api: list[URLPattern | URLResolver] = [
    path("", include("accounts.api.urls")),
    path("", include("workspaces.api.urls")),
    path("", include("files.api.urls")),
    path("", include("images.api.urls")),
    path("", include("aliases.api.urls")),
    path("", include("usage.api.urls")),  # its path would name a job
    path("", include("jobs.api.urls")),
    path("", include("execs.api.urls")),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("core.urls")),  # /healthz, /readyz, /api/schema/, /api/docs/
    path("api/v1/", include((api, "v1"))),
    path("api/v2/", include((api, "v2"))),
    path("api/host/v1/", include("hosts.api.urls")),
    path("api/host/v1/", include("workspaces.hostapi.urls")),
    path("api/host/v1/", include("sandboxes.hostapi.urls")),
    path("api/host/v1/", include("images.hostapi.urls")),
    path("api/host/v1/", include("jobs.hostapi.urls")),
    path("api/gateway/v1/", include("gateways.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("handbook.urls")),  # public
    path("", include("dashboard.urls")),
]


handler400 = "core.api.handler.bad_request"
handler403 = "core.api.handler.permission_denied"
handler404 = "core.api.handler.not_found"
handler500 = "core.api.handler.server_error"
