"""One authenticated peer: wire format, handshake, and bringing groups level. No SQL, no sockets."""
