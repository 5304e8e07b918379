"""The page that reports share: drawing, tables, numbers as text, style."""
