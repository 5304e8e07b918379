"""How work is distributed: Beam, and nothing but Beam."""
