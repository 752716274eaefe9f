"""What stands before Django: limits of connections and requests, so that a stranger's flood costs strangers alone.

`connections` is the server's protocol: bytes, fields and time of a head, time of a body, connections of an address and in all.
`requests` sorts requests into the classes of `classes`, each with seats of its own; `aliases` gives each class connections of its
own to the database.  What is over is refused at once, counted, and said in the log once a second.
"""
