from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from core.health import healthz, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    # The split view keeps its script in a response of its own, as our CSP allows no inline script.
    path("api/docs/", SpectacularSwaggerSplitView.as_view(template_name="core/api_docs.html"), name="docs"),
]
