from django.urls import URLPattern, URLResolver, path

from accounts.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/me", views.MeView.as_view()),
    path("auth/tokens", views.TokensView.as_view()),
    path("auth/tokens/<int:token_id>", views.TokenView.as_view()),
]
