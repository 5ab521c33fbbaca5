"""Who is right: verdicts about responses, in worker processes that may be killed. No JAX."""
