from django.urls import URLPattern, URLResolver, path

from gateways.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("routes/<str:label>", views.RouteView.as_view()),
    path("routes/<str:label>/wake", views.WakeView.as_view()),
    path("certificate", views.CertificateView.as_view()),
    path("ssh", views.SshPortsView.as_view()),
]
