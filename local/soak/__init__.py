"""`make soak`: thousands of deliveries with random faults. Afterwards each message must have one verdict."""
