from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        # Models can be imported only now.
        from sandboxes import services  # noqa: PLC0415
        from workspaces import hooks  # noqa: PLC0415

        hooks.register_resized(services.workspace_resized)
        hooks.register_deleted(services.workspace_deleted)
