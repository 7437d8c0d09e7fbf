from django.urls import URLPattern, URLResolver, path

from workspaces.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-workspaces", views.WorkspacesView.as_view()),
    path("mags-workspaces/<str:name>", views.WorkspaceView.as_view()),
    path("mags-workspaces/<str:name>/versions", views.VersionsView.as_view()),
    path("mags-workspaces/<str:name>/diff", views.DiffView.as_view()),
    path("mags-workspaces/<str:name>/restore", views.RestoreView.as_view()),
    path("mags-workspaces/<str:name>/fork", views.ForkView.as_view()),
]
