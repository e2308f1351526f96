"""Drivers: while a job is paused, wait for its wait context, then resume it.

One module for each kind of loop. All wait in the same order (`_promise`): where something promised
to call, for the call; else for the context's descriptors; else they look again after a delay that
grows to 10 ms.
"""
