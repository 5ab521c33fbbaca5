"""Text as token ids: tokenizers and chat formats."""
