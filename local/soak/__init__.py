"""`make soak`: thousands of deliveries while everything fails at random; then each message must have one verdict."""
