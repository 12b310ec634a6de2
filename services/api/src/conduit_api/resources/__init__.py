"""The API's resources: for each its requests, its responses and its handlers."""
