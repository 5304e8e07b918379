"""What a site allows, and the pauses between requests to it."""
