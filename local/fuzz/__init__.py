"""`make fuzz`: is there any request that makes the receiver raise? Coverage-guided, on the handler itself."""
