"""Text, image and fused vectors."""
