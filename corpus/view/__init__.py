"""The viewer: a build's documents in a browser on this machine, and as static pages."""
