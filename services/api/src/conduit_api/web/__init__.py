"""What the API service serves to browsers."""
