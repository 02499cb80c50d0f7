"""The self-hosted signaling server: devices meet here, and it learns nothing about them.

`rooms`, `bucket` and `ice` are pure; `app` is the only module that knows socket.io; `carrier` holds
the sockets and lets in no more than `rooms` permits; `cluster`, over a `line` to Redis, has several
processes act as one; `settings`, `cli`, `log` and `watch` are for operators; `listening` opens
the door; `serve` puts it all together.
Of `peerstack` it imports `signaling.wire`, `limits` and `errors`, and nothing else.
"""
