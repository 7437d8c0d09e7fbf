from django.urls import URLPattern, URLResolver, path

from workspaces.hostapi.views import AnswersView

urlpatterns: list[URLPattern | URLResolver] = [
    path("answers", AnswersView.as_view()),
]
