"""What a site allows and asks for, and how gently it is asked."""
