"""`make demo`: two people of a family, each with the app at a device of their own, on this machine.

All of it lies in a temporary folder, and is gone after Ctrl-C.
"""
