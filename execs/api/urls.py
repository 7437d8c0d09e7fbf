from django.urls import URLPattern, URLResolver, path

from execs.api import views
from execs.api.running import ExecRunView

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-jobs/<str:job>/exec", ExecRunView.as_view()),
    path("mags-jobs/<str:job>/execs", views.ExecListView.as_view()),
    path("mags-jobs/<str:job>/execs/<str:exec_id>", views.ExecView.as_view()),
    path("mags-jobs/<str:job>/execs/<str:exec_id>/output", views.ExecOutputView.as_view()),
    path("mags-jobs/<str:job>/execs/<str:exec_id>/signal", views.ExecSignalView.as_view()),
]
