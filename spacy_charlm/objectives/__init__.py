"""Target, loss, masking and head, put together over a tok2vec."""
