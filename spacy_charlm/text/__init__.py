"""Raw text: file formats, splitting, the corpus reader, tokenising ahead."""
