from django.urls import URLPattern, URLResolver, path

from jobs.hostapi.views import BootView, PollView, ReportView

urlpatterns: list[URLPattern | URLResolver] = [
    path("boot", BootView.as_view()),
    path("poll", PollView.as_view()),
    path("report", ReportView.as_view()),
]
