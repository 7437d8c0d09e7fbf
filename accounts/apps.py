from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Models can be imported only now.
        from accounts.models import ApiToken
        from accounts.selectors import tokens_refused
        from core import credentials

        credentials.register(ApiToken, tokens_refused)
