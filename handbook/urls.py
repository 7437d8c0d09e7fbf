from django.urls import path

from handbook import views

app_name = "handbook"
urlpatterns = [
    path("docs/", views.overview, name="overview"),
    path("docs/search", views.search, name="search"),
    path("docs/decisions/", views.decisions, name="decisions"),
    path("docs/<path:slug>.md", views.raw, name="raw"),
    path("docs/<path:slug>/", views.page, name="page"),
    path("skill.md", views.skill, name="skill"),
    path("llms.txt", views.llms, name="llms"),
    path("llms-full.txt", views.llms_full, name="llms_full"),
]
