"""Raw text in: formats, splitting, the corpus reader, tokenising ahead."""
