"""Next-basket recommendation."""
