from django.urls import URLPattern, URLResolver, path

from images.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-images", views.ImagesView.as_view()),
]
