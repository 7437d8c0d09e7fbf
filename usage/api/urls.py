from django.urls import URLPattern, URLResolver, path

from usage.api.views import UsageView

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-jobs/usage", UsageView.as_view()),  # a job of this name goes by its id
]
