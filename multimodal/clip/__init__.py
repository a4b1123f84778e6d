"""The image tower: encoding and training with any open_clip model, and the compact model that is shipped."""
