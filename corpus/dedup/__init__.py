"""Finding copies: signatures, bands and components."""
