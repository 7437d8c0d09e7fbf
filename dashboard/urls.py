from django.urls import include, path

from dashboard import (
    alias_views,
    cli_views,
    cron_views,
    design_views,
    diff_views,
    file_views,
    home_views,
    job_list_views,
    provider_views,
    sandbox_views,
    settings_views,
    usage_views,
    views,
    workspace_views,
)
from dashboard.login import SignInView, SignOutView

app_name = "dashboard"
urlpatterns = [
    path("", home_views.home, name="home"),
    path("login/", SignInView.as_view(), name="login"),
    path("login/<slug:provider>/", provider_views.begin, name="provider"),
    path("login/<slug:provider>/callback/", provider_views.answer, name="provider_answer"),
    path("logout/", SignOutView.as_view(), name="logout"),
    path("settings/", settings_views.settings_page, name="settings"),
    path("design/", design_views.design, name="design"),
    path("jobs/", job_list_views.jobs, name="jobs"),
    path("jobs/-/stop/", job_list_views.stop, name="stop"),
    path("jobs/<str:reference>/", views.job, name="job"),
    path("jobs/<str:reference>/script.txt", views.script, name="script"),
    path("jobs/<str:reference>/output.txt", views.output, name="output"),
    path("jobs/<str:reference>/again/", views.again, name="again"),
    path("sandboxes/", sandbox_views.sandboxes, name="sandboxes"),
    path("aliases/", alias_views.aliases, name="aliases"),
    path("workspaces/", workspace_views.workspaces, name="workspaces"),
    path("workspaces/<str:name>/", workspace_views.workspace, name="workspace"),
    path("workspaces/<str:name>/diff/", diff_views.diff, name="diff"),
    path("files/", file_views.files, name="files"),
    path("cron/", cron_views.cron, name="cron"),
    path("usage/", usage_views.usage, name="usage"),
    path("tokens/", views.tokens, name="tokens"),
    path("cli/login/", cli_views.loopback, name="cli-login"),
    path("cli/done/", cli_views.done, name="cli-done"),
    path("device/", cli_views.device, name="device"),
    path("", include("dashboard.staff_urls")),
]
