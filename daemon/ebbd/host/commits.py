"""How many VG commits each LVM mutation makes when nothing interferes.

Both houses answer from this table, so that a caller can tell its own commits from a foreign one
by the seqno. Source: the seqno before and after each command, LVM 2.03.16 (Debian 12).
"""

CREATE_THIN = 2  # the LV with its pool message written down; the message confirmed
CREATE_SNAPSHOT = 2
REMOVE_EACH = 2  # per LV of one command line
EXTEND = 1
CHANGE_TAGS = 1
RENAME = 1
