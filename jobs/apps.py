from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        # Models can be imported only now.
        from accounts import hooks as account_hooks
        from jobs import selectors, services
        from sandboxes import hooks as sandbox_hooks
        from workspaces import hooks as workspace_hooks

        account_hooks.register_changed(services.user_changed)
        sandbox_hooks.register_saved(services.job_saved)
        workspace_hooks.register_active_jobs(selectors.active_jobs)
        workspace_hooks.register_held_words(services.held_words)
        workspace_hooks.register_deleted(services.workspace_deleted)
