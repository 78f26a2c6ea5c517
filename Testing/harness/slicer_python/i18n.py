"""`slicer.i18n`: the application's language is English, so every text is its own translation."""


def tr(text: str) -> str:
    """Return the text; the context would be the calling file."""
    return text


def translate(context: str, text: str) -> str:
    """Return the text as the application translates it."""
    from slicer import app

    return str(app.translate(context, text))
