"""The bundled model: its layout, its networks, its weights."""
