from django.urls import URLPattern, URLResolver, path

from images.hostapi.views import BuildsView, ObjectsView

urlpatterns: list[URLPattern | URLResolver] = [
    path("images/objects", ObjectsView.as_view()),
    path("images/builds", BuildsView.as_view()),
]
