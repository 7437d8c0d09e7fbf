from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "images"

    def ready(self) -> None:
        # Models can be imported only now.
        from images.services import images_check, images_collect, images_rebuild
        from workspaces import hooks

        hooks.register_images(hooks.Images(images_check, images_rebuild, images_collect))
