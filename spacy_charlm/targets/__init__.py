"""Targets of pretraining: from Docs to vectors or ids, one or several per token."""
