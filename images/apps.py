from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "images"

    def ready(self) -> None:
        # Models can be imported only now.
        from images.services import images_check, images_collect, images_rebuild  # noqa: PLC0415
        from workspaces import hooks  # noqa: PLC0415

        hooks.register_images(hooks.Images(images_check, images_rebuild, images_collect))
