"""What those who look after the installation see. Names are in the namespace of the dashboard."""

from django.urls import URLPattern, path

from dashboard import health_views, host_views

urlpatterns: list[URLPattern] = [
    path("hosts/", host_views.hosts, name="hosts"),
    path("hosts/health/", health_views.health, name="health"),
    path("hosts/<uuid:host_id>/", host_views.host, name="host"),
    path("metrics", health_views.metrics_text, name="metrics"),
]
