"""`make soak`: thousands of deliveries in foul weather, and then the question whether each message has one verdict."""
