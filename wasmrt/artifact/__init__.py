"""What Python keeps in an artifact image: the INFO section, one msgpack record."""
