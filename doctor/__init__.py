"""`make doctor`: examines an installation with real calls, and names what is amiss and how to mend it.

Each check is a generator: it yields findings and returns what later checks need. None of them changes anything.
"""
