from django.urls import URLPattern, URLResolver, path

from accounts.api import cli_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/cli/device", cli_views.CliDeviceView.as_view()),
    path("auth/cli/token", cli_views.CliTokenView.as_view()),
    path("auth/me", views.MeView.as_view()),
    path("auth/tokens", views.TokensView.as_view()),
    path("auth/tokens/<int:token_id>", views.TokenView.as_view()),
]
