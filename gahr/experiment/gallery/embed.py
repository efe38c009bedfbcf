"""Pictures inside a page."""

import base64
import io

from PIL import Image


def data_uri(content: bytes) -> str:
    """The content of a PNG file as an address that needs no network."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def encoded(picture: Image.Image) -> str:
    """A picture as such an address."""
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return data_uri(content.getvalue())
