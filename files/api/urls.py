from django.urls import URLPattern, URLResolver, path

from files.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-files", views.FilesView.as_view()),
    path("mags-files/<str:file_id>", views.FileView.as_view()),
    path("mags-files/<str:file_id>/content", views.FileContentView.as_view()),
]
