from django.apps import AppConfig


class ExecsConfig(AppConfig):
    name = "execs"
