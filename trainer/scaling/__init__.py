"""What one more token is worth: scaling laws, fitted so that their intervals can be checked."""
