"""What commands print for a person: tables and texts for 80 columns and more."""
