"""DNS: the resolvers that are asked, and look-ups with a cache of our own."""
