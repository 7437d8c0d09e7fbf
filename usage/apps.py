from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "usage"

    def ready(self) -> None:
        # Models can be imported only now.
        from sandboxes import hooks
        from usage import services

        hooks.register_sleep_changed(services.sleep_changed)
