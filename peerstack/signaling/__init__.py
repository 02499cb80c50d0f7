"""How devices meet: the wire shared with the server, the rendezvous, the client."""
