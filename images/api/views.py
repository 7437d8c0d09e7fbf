"""The public API of images: what `rootfs_type` may name."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from images.api import examples, outputs
from images.wire import image_objects


class ImagesView(APIView):
    @extend_schema(operation_id="image_list", responses=outputs.ImageListOutput, examples=examples.LIST)
    def get(self, request: Request) -> Response:
        """The images that a job may name, by name."""
        found = image_objects()
        return Response({"images": found, "total": len(found)})
