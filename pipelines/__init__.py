"""How the work is spread: Beam, and nothing but Beam."""
