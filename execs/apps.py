from django.apps import AppConfig


class ExecsConfig(AppConfig):
    name = "execs"

    def ready(self) -> None:
        # Models can be imported only now.
        from execs.services import exec_startup
        from jobs import hooks

        hooks.register_startup_reported(exec_startup)
