"""vibethinker_jax: the VibeThinker recipe (spectrum SFT, specialist merging, MGPO) in JAX.

Nothing is imported here, so that the verifier and data processes start without JAX.
"""
