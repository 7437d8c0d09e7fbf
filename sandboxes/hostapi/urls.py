from django.urls import URLPattern, URLResolver, path

from sandboxes.hostapi.views import ObjectsView, VersionsView

urlpatterns: list[URLPattern | URLResolver] = [
    path("objects", ObjectsView.as_view()),
    path("versions", VersionsView.as_view()),
]
