from django.apps import AppConfig


class ExecsConfig(AppConfig):
    name = "execs"

    def ready(self) -> None:
        # Models can be imported only now.
        from execs.services import exec_startup  # noqa: PLC0415
        from jobs import hooks  # noqa: PLC0415

        hooks.register_startup_reported(exec_startup)
