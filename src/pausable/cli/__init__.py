"""The command line: `pausable hello`, `pausable sign`.

The top layer. Only here are click and rich imported, rich only for a terminal.
"""
