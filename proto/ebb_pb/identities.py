"""Who is who in ebb.v1 over TLS: part of the wire, and therefore beside the messages.

A node's certificate has the node's id and ANY_NODE among its DNS names (an id that is an address
is an IP name). A client's certificate has one URI, RIGHTS_URI followed by `stats`, `use` or
`change`. A client that means one node and no other sends that node's key with each call.
"""

RIGHTS_URI = "ebb:///rights/"
# By this name a node is asked who it is, before its id is known.
ANY_NODE = "ebbd.ebb.internal"
NODE_KEY_METADATA = "ebb-node-key"
