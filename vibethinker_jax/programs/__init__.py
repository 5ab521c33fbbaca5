"""The stages of a recipe, one straight-line file a kind."""
