"""Group rollouts: token ids in, responses with their log-probabilities out."""
