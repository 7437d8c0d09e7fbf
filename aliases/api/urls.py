from django.urls import URLPattern, URLResolver, path

from aliases.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-url-aliases", views.AliasesView.as_view()),
    path("mags-url-aliases/<str:subdomain>", views.AliasView.as_view()),
]
