"""The command line: `pausable hello`, `sign`, `issue-certs`, `issue-tokens`, `speed`, `completion`.

The top layer. Only here are click and rich imported, rich only for a terminal.
"""
