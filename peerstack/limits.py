"""Every bound, with its unit in its name. Knows nothing else.

Constants of the protocol decide what is admissible, so they are the same on every device for
ever (`docs/protocol.md`). The others only protect this device and may be tuned.
"""

from __future__ import annotations

from typing import Final

# --- Constants of the protocol: changing one splits groups. -------------------------------------

BODY_BYTES: Final = 60 * 1024
BODY_DEPTH: Final = 64
ID_CHARS: Final = 128
SEEN_ENTRIES: Final = 32
CONFLICTS_PER_SIGNER: Final = 20
"""Of one record. Devices that counted otherwise would differ in their conflicts for good."""

INTEGER_MAX: Final = 2**53 - 1
TIME_MS_MAX: Final = 2**48 - 1
STATEMENT_MS_MAX: Final = 2**47 - 1
"""No statement but a seal is later: so what ends can be sealed, however late it says that it is."""

NAME_CHARS: Final = 128
FUTURE_MS: Final = 10 * 60 * 1000
"""A record from further ahead than this is held, not admitted."""

MARK_DEVICES: Final = 100
"""Devices of which a mark (`$reached`) says how far its author has what they wrote."""

MARK_BYTES: Final = 8 * 1024
"""The body of a `$reached`, which readers write too."""

INVITE_USES_MAX: Final = 10_000
ROTATION_KEEPS: Final = 64
SEAL_PART_HASHES: Final = 800

# --- Between two devices. -----------------------------------------------------------------------

MESSAGE_BYTES: Final = 64 * 1024
BATCH_BYTES: Final = 192 * 1024
"""Bodies and signatures of one batch, before compression; compressed it is one message."""

BATCH_RECORDS: Final = 500
WINDOW_BATCHES: Final = 16
UNPACKED_BYTES: Final = 256 * 1024
"""What one compressed message may unpack to."""

WANT_KEYS: Final = 512
WANT_GAPS: Final = 256
WANT_EXCLUDED: Final = 512
EXCLUDED_HASHES: Final = 10_000
"""Known hashes, newest first, that are not asked for again by name."""

WANTS_OPEN: Final = 1_024
"""What one peer may have asked for and not yet been sent."""

HANDSHAKE_MS: Final = 15_000
ANSWER_MS: Final = 60_000
"""A peer that owes an answer and says nothing for as long is hung up on."""

OWED_MS: Final = 5 * 60_000
"""The same where it says other things: on a slow line, those may stand before the answer."""

LINK_MS: Final = 15 * 60 * 1000
"""How long the link to a new device of one's own lasts, where nobody ends it before."""

LINK_ATTEMPTS: Final = 5
"""How often one link may show digits, on either side: each time, chance could make them agree."""

LINK_CHARS: Final = 4_096
LINK_SERVERS: Final = 8
SERVER_CHARS: Final = 512

GROUP_TAGS: Final = 4_096
INTRODUCTION_STATEMENTS: Final = 2_000
"""What may be shown by who is no member yet, to become one."""

STRANGERS_JOINS: Final = 64
"""Joins by one invite, or by none, that let nobody in and that who is no member may add to."""

PIPE_BUFFER_BYTES: Final = 16 * 1024 * 1024
"""What may wait in one pipe to be sent, or to be listened to."""

PIPE_LOW_WATER_BYTES: Final = 256 * 1024
"""A pipe that held more says `drained` when no more than this waits to be sent."""

UNFINISHED_BYTES: Final = 4 * 1024 * 1024
"""What may arrive over WebRTC without completing a message; four times SCTP's window."""

CANDIDATES: Final = 32
"""Addresses of a peer that are tried."""

RECONCILE_KEY_BYTES: Final = 6 + ID_CHARS
RECONCILE_MESSAGE_BYTES: Final = 63 * 1024
"""One message of a reconciliation; leaves the session room for an envelope around it."""

RECONCILE_RANGES: Final = 2_048
RECONCILE_TURN_MESSAGES: Final = 8
RECONCILE_TURNS: Final = 512
"""Turns that one device takes in one run; what is left is for the next run."""

LEAF_ITEMS: Final = 128
"""Ranges in which neither side holds more are compared item by item."""

LEAF_ITEMS_MAX: Final = 256
"""What a leaf may have grown to while it was under way."""

RECONCILE_SENT_ITEMS: Final = 8_192
"""Sent unseen for the eager leaves of one turn; what is beyond is shown first."""

AUDIT_ITEMS: Final = 64
"""Records of a random range that a session compares by a plain hash, sums apart."""

# --- On this device. ----------------------------------------------------------------------------

INVITES_MET: Final = 32
"""Invites of one group, the newest, under which newcomers are met."""

SERVERS_LEARNED: Final = 64
"""Signaling servers of a profile, beyond which none are learned from the user's other devices."""

OLD_SECRETS: Final = 32
"""Discovery secrets that one group had, the newest, under which its members are still met."""

SECRET_HOLDERS: Final = 1_024
"""Devices of one group that are remembered to have one of its secrets."""

PAIRS_MET: Final = 16
"""Devices with which one device keeps a meeting place of two, in one group."""

NEWCOMER_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long an invite that let somebody in stays a meeting place, though it has ended."""

RESTORED_MS: Final = 180 * 24 * 60 * 60 * 1000
"""How long a recovered device calls the user's others by the secret that its kit brought."""

KIT_BYTES: Final = 4 * 1024 * 1024
KIT_STATEMENTS: Final = 1_000
KIT_SERVERS: Final = 256
"""What a recovery kit holds, besides `GROUP_TAGS` groups."""

PUT_MANY_RECORDS: Final = 10_000
HISTORY_MS: Final = 30 * 24 * 60 * 60 * 1000
HISTORY_PER_SIGNER: Final = 20
"""Of one record, conflicts first; at least `CONFLICTS_PER_SIGNER`, so that it ends no conflict."""

WAITING_MS: Final = 7 * 24 * 60 * 60 * 1000
"""How long a statement or a record waits for what it needs; what is let go may come again."""

HELD_RECORDS_PER_GROUP: Final = 10_000
QUARANTINED_PER_GROUP: Final = 10_000
"""Where a group's quarantine holds as many, nothing that arrives is put there; what was live is."""

PENDING_STATEMENTS_PER_GROUP: Final = 4_096
REFUSED_HASHES_PER_GROUP: Final = 100_000
PEERS_PER_GROUP: Final = 8
QUERY_FIELDS: Final = 32
QUERY_VALUES: Final = 500
SEARCH_CHARS: Final = 500
SEARCH_FIELDS: Final = 8
"""Of one type of record."""

SLICE_RECORDS: Final = 500
"""Records that one event may judge, so that it takes no more than about 20 ms."""

# --- Between a device and a signaling server. ---------------------------------------------------

TOPIC_BYTES: Final = 32
TOPICS_PER_CONNECTION: Final = 1_024
BOX_BYTES: Final = 32 * 1024
SIGNALING_MESSAGE_BYTES: Final = 64 * 1024
KNOWN_PEERS: Final = 1_024
"""Devices whose announcements are remembered, over all meeting places."""

LINKS_UNDER_WAY: Final = 64
DIAL_MS: Final = 45_000
"""From the wish for a link to its open channel; what takes longer is abandoned."""
