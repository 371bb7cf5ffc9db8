"""The HTTP server: app factory, who is calling, errors as problem documents, the page and the widget."""
