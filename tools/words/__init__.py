"""The words of an edition: where their translations come from, and where they go."""
