from django.urls import URLPattern, URLResolver, path

from hosts.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("enrol", views.EnrolView.as_view()),
    path("heartbeat", views.HeartbeatView.as_view()),
]
