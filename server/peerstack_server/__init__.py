"""The self-hosted signaling server: devices meet here, and it learns nothing about them.

`rooms`, `bucket` and `ice` are pure; `app` is the only module that knows socket.io; `carrier` holds
the sockets and lets in no more than `rooms` permits; `settings` and `cli` are the operator's side.
Of `peerstack` it imports `signaling.wire`, `limits` and `errors`, and nothing else.
"""
