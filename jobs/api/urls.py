from django.urls import URLPattern, URLResolver, path

from jobs.api import views
from jobs.api.access import JobAccessView, JobSshKeyView

urlpatterns: list[URLPattern | URLResolver] = [
    path("mags-jobs", views.JobsView.as_view()),
    path("mags-jobs/pool-status", views.PoolStatusView.as_view()),  # a job of this name goes by its id
    path("mags-jobs/<str:job>", views.JobView.as_view()),
    path("mags-jobs/<str:job>/access", JobAccessView.as_view()),
    path("mags-jobs/<str:job>/events", views.JobEventsView.as_view()),
    path("mags-jobs/<str:job>/logs", views.JobLogsView.as_view()),
    path("mags-jobs/<str:job>/ssh-key", JobSshKeyView.as_view()),
    path("mags-jobs/<str:job>/status", views.JobStatusView.as_view()),
    path("mags-jobs/<str:job>/stop", views.JobStopView.as_view()),
    path("mags-jobs/<str:job>/sync", views.JobSyncView.as_view()),
    path("mags-jobs/<str:job>/wake", views.JobWakeView.as_view()),
]
