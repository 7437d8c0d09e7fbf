from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        # Models can be imported only now.
        from sandboxes import services
        from workspaces import hooks

        hooks.register_resized(services.workspace_resized)
        hooks.register_deleted(services.workspace_deleted)
