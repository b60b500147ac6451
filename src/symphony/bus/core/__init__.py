"""The rules of the bus, without input or output: topics, routes, names, calls, mailboxes, counts."""
